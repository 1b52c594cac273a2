"""`mechsteer train`: one steer."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from ..errors import InputError
from ..families import FORMS, RULES
from ..methods.learning import check_method, check_read, has_no_use_for, is_trained, learn, methods
from ..methods.settings import TrainSettings
from ..models.sites import parse_sites, write_sites
from .options import (
    ColumnsOption,
    DeviceMapOption,
    DeviceOption,
    DtypeOption,
    ExtendOption,
    GroupOption,
    JsonOption,
    LimitOption,
    ModelOption,
    PairsOption,
    RuleOption,
    SiteOption,
    TemplateOption,
    check_output,
    flag,
    learning,
    open_model,
    read_pairs,
    running,
    steers,
    with_settings,
    with_template,
)
from .printing import echo, echo_json


@with_settings(TrainSettings, learning)
def train(
    site: SiteOption,
    out: Annotated[
        Path,
        running(help="The .safetensors file to write; the history goes beside it as parquet.", metavar="FILE"),
    ],
    given: dict[str, Any],
    model: ModelOption = "guestbook",
    pairs: PairsOption = "guestbook/sentiment",
    columns: ColumnsOption = "",
    group: GroupOption = None,
    limit: LimitOption = None,
    form: Annotated[str, steers(help=f"{', '.join(FORMS.members())}.", metavar="FORM")] = "vector",
    method: Annotated[
        str, steers(help=f"{', '.join(methods())}; the first need no training.", metavar="METHOD")
    ] = "SPLIT",
    rule: RuleOption = None,
    validation: Annotated[
        str | None, learning(help="Pairs that choose the step whose state is kept.", metavar="PAIRS")
    ] = None,
    template_option: TemplateOption = None,
    extend: ExtendOption = "",
    device: DeviceOption = None,
    device_map: DeviceMapOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn a vector, a LoRA or a local weight from pairs.

    An interrupted run goes on when the command is repeated.
    """
    sites = parse_sites(site)
    check_method(method, form)
    RULES.check(rule or "add")
    check_output(out, ".safetensors")
    if template_option:
        given["prompt_format"] = with_template(given.get("prompt_format", "raw"), template_option)
    settings = TrainSettings(**given)
    if is_trained(method):
        settings.settled(method, form)
    else:
        check_read(method, settings)
        _check_nothing_asks_for_training(method, given, validation)
    teaching = read_pairs(pairs, columns, group, limit, settings.seed)
    held_out = None if validation is None else read_pairs(validation, columns, group, limit, settings.seed)
    opened = open_model(model, device, dtype, device_map=device_map)
    checkpoint = out.with_name(f".{out.name}.partial")
    learned = learn(
        opened, teaching, sites, method, form, settings, rule=rule or "add", checkpoint=checkpoint, validation=held_out,
    )  # fmt: skip
    learned.intervention.save(out)
    sites = learned.intervention.sites
    content = {
        "out": str(out), "method": method, "form": form, "rule": rule or "add",
        "site": write_sites(sites), "hook": ",".join(site.hook for site in sites), "n_pairs": len(teaching),
    }  # fmt: skip
    words = f"{out}: {method} {form} at {content['site']} ({content['hook']}) from {len(teaching)} pairs"
    if is_trained(method):
        from ..store.atomic import write_atomically

        history = out.with_suffix(".history.parquet")
        write_atomically(history, lambda temporary: learned.history.to_parquet(temporary, index=False))
        checkpoint.unlink()
        last = learned.history.tail(10)[["loss", "preference", "utility"]].mean().to_dict()
        content |= {"history": str(history), "steps": len(learned.history), "last_ten_steps": last}
        words += (
            f" in {len(learned.history)} steps; over the last ten, loss {last['loss']:.3f}, preference "
            f"{last['preference']:+.2f} and utility {last['utility']:.2f} nats"
        )
    if as_json:
        echo_json(content)
    else:
        echo(words)


def _check_nothing_asks_for_training(method: str, given: dict[str, Any], validation: str | None) -> None:
    """One sentence if an option is asked for that a method without training would pass over."""
    asked = [flag(item) for item in fields(TrainSettings) if item.name in given and has_no_use_for(method, item.name)]
    if asked := asked + ["--validation"] * (validation is not None):
        raise InputError(
            f"{method} is read off activations and not trained, so it has no use for {', '.join(asked)}. Leave that out."
        )
