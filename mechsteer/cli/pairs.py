"""`mechsteer pairs`: what is wrong with pairs, before anything is made of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from .options import (
    ColumnsOption,
    DeviceOption,
    DtypeOption,
    FormatOption,
    GroupOption,
    JsonOption,
    LimitOption,
    SeedOption,
    TemplateOption,
    open_model,
    split_list,
    what,
    with_template,
)
from .printing import echo, echo_json

if TYPE_CHECKING:
    from ..models.model import Model
    from ..pairs.checks import Finding
    from ..pairs.polarity import Pairs

MOST_PAIRS = 100
"""That an unsteered model is asked about: enough to see which side it leans to."""


def pairs(
    file: Annotated[str, typer.Argument(help="Polarity pairs, as a study takes them.", metavar="PAIRS")],
    test_pairs: Annotated[
        str | None,
        what(help="Pairs to measure; by default half of PAIRS; the other half is learned from.", metavar="PAIRS"),
    ] = None,
    model: Annotated[
        str | None, what(help="Check tokens too, and which side the model leans to unsteered.", metavar="MODEL")
    ] = None,
    columns: ColumnsOption = "",
    group: GroupOption = None,
    limit: LimitOption = None,
    prompt_format: FormatOption = "raw",
    template_option: TemplateOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check pairs: what is wrong with them, and what to do.

    As every study does, with the split that it would make. What would make results meaningless is refused.
    """
    from analyses.studies.settings import Settings
    from analyses.studies.subjects import checked_pairs

    settings = Settings(
        pairs=file, test_pairs=test_pairs, columns=split_list(columns), group=group, limit=limit, seed=seed,
        format=with_template(prompt_format, template_option),
    )  # fmt: skip
    checked = checked_pairs(settings)
    findings = list(checked.findings)
    refused = next((finding for finding in findings if finding.refused), None)
    sides = {"learning": checked.learning, "testing": checked.testing}
    if model is not None and refused is None:
        opened = open_model(model, device, dtype)
        for some, of in ((checked.learning, "pairs to learn from"), (checked.testing, "pairs to measure")):
            findings += with_model(opened, some, settings.format, of)
        refused = next((finding for finding in findings if finding.refused), None)
    content = {
        **{side: {"name": some.name, "n": len(some), "groups": len(some.groups)} for side, some in sides.items()},
        "findings": [finding.to_dict() for finding in findings],
    }
    if as_json:
        echo_json(content)
    else:
        if refused is None:
            echo(f"{len(checked.learning)} distinct pairs to learn from, {len(checked.testing)} to measure.")
        for finding in findings:
            if finding is not refused:
                echo(f"- {finding}")
        if not findings:
            more = "" if model else " Add --model to check tokens, and which side a model leans to."
            echo(f"Nothing is wrong with them.{more}")
    if refused is not None:
        raise InputError(str(refused))


def with_model(model: "Model", some: "Pairs", prompt_format: str, of: str) -> "Iterator[Finding]":
    """What only a tokenizer and an unsteered model can tell of some pairs, which are called so."""
    from ..engine.losses import unsteered_losses
    from ..models.prompts import encode_pairs
    from ..models.token_checks import check_tokens
    from ..pairs.checks import check_losses

    yield from (of_tokens := list(check_tokens(model, some, prompt_format)))
    if not any(finding.refused for finding in of_tokens):
        losses = unsteered_losses(model, encode_pairs(model, some[:MOST_PAIRS], prompt_format))
        yield from check_losses(*losses, are_answers=any(pair.key for pair in some), of=of)
