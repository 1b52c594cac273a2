"""`mechsteer generate`: what a steered model writes."""

from typing import Annotated

import typer

from ..models.sites import write_sites
from .options import (
    AnyModelOption,
    DeviceMapOption,
    DeviceOption,
    DtypeOption,
    ExtendOption,
    InterventionOption,
    JsonOption,
    LearnedFormatOption,
    LearnedPositionsOption,
    RuleOption,
    SeedOption,
    SteeredModelOption,
    TemplateOption,
    open_steered,
    running,
    steers,
    with_template,
)
from .printing import Table, echo, echo_json, number


def generate(
    prompts: Annotated[list[str], typer.Argument(help="Texts to continue.", metavar="PROMPT")],
    intervention: InterventionOption,
    model: SteeredModelOption = None,
    prompt_format: LearnedFormatOption = None,
    template_option: TemplateOption = None,
    multipliers: Annotated[
        list[str],
        steers("--multipliers", "--multiplier", "-m", help="One or several, shown side by side.", metavar="M,..."),
    ] = ["0"],  # noqa: B006
    positions: LearnedPositionsOption = None,
    rule: RuleOption = None,
    any_model: AnyModelOption = False,
    max_new_tokens: Annotated[int, running(help="Tokens to write at most.", min=1, metavar="N")] = 48,
    temperature: Annotated[float, running(help="0 always takes the likeliest token.", min=0, metavar="T")] = 0.0,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    device_map: DeviceMapOption = None,
    dtype: DtypeOption = None,
    extend: ExtendOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show what the model writes at several multipliers."""
    import mechsteer as ms
    from analyses.studies.settings import read_multipliers

    grid = [float(value) for item in multipliers for value in read_multipliers(item)]
    place = {"device": device, "device_map": device_map, "dtype": dtype}
    opened, steer = open_steered(intervention, model, rule=rule, any_model=any_model, **place)
    prompt_format = with_template(prompt_format or steer.origin.prompt_format, template_option)
    shifts, written = [], []
    for value in grid:
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
        prompt: list(zip(grid, shifts, texts, strict=True))
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
