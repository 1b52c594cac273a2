"""`mechsteer generate`: what a steered model writes."""

from typing import Annotated

import typer

from ..models.sites import write_sites
from .options import (
    AnyModelOption,
    DeviceOption,
    DtypeOption,
    ExtendOption,
    InterventionOption,
    JsonOption,
    LearnedFormatOption,
    LearnedPositionsOption,
    ModelOption,
    RuleOption,
    SeedOption,
    TemplateOption,
    acting_by,
    open_model,
    running,
    steers,
    with_template,
)
from .printing import Table, echo, echo_json, number


def generate(
    prompts: Annotated[list[str], typer.Argument(help="Texts to continue.", metavar="PROMPT")],
    intervention: InterventionOption,
    model: ModelOption = "guestbook",
    prompt_format: LearnedFormatOption = None,
    template_option: TemplateOption = None,
    multiplier: Annotated[
        list[float], steers("--multiplier", "-m", help="Repeat it for several, side by side.", metavar="M")
    ] = [0.0],  # noqa: B006
    positions: LearnedPositionsOption = None,
    rule: RuleOption = None,
    any_model: AnyModelOption = False,
    max_new_tokens: Annotated[int, running(help="Tokens to write at most.", min=1, metavar="N")] = 48,
    temperature: Annotated[float, running(help="0 always takes the likeliest token.", min=0, metavar="T")] = 0.0,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    extend: ExtendOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show what the model writes at several multipliers."""
    import mechsteer as ms

    opened = open_model(model, device, dtype)
    steer = acting_by(rule, ms.load_intervention(intervention, None if any_model else opened))
    prompt_format = with_template(prompt_format or steer.origin.prompt_format, template_option)
    shifts, written = [], []
    for value in multiplier:
        with ms.steer(opened, steer, value, positions) as audit:
            texts = ms.generate(
                opened, prompts, prompt_format=prompt_format, max_new_tokens=max_new_tokens, temperature=temperature,
                seed=seed,
            )  # fmt: skip
        shifts.append(audit.median_relative_shift)
        written.append([text.strip() for text in texts])
    made = {
        "method": steer.origin.method, "form": steer.form, "rule": str(steer.rule), "site": write_sites(steer.sites),
        "hook": ",".join(site.hook for site in steer.sites),
    }  # fmt: skip
    by_prompt = {
        prompt: list(zip(multiplier, shifts, texts, strict=True))
        for prompt, texts in zip(prompts, zip(*written, strict=True), strict=True)
    }
    if as_json:
        keys = ("multiplier", "relative_shift", "text")
        answers = {prompt: [dict(zip(keys, row, strict=True)) for row in rows] for prompt, rows in by_prompt.items()}
        echo_json(made | {"answers": answers})
        return
    echo(
        Table(
            f"{made['method']} {made['form']} at {made['site']} ({made['hook']})",
            ("m", "‖shift‖/‖h‖", "text"),
            {
                prompt: [(f"{m:g}", number(shift), text) for m, shift, text in rows]
                for prompt, rows in by_prompt.items()
            },
        )
    )
