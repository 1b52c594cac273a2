"""Options that several verbs share, and what they stand for."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

what = partial(typer.Option, rich_help_panel="Model and pairs")
steers = partial(typer.Option, rich_help_panel="Steers")
learning = partial(typer.Option, rich_help_panel="Learning")
judging = partial(typer.Option, rich_help_panel="Judging")
running = partial(typer.Option, rich_help_panel="Running")
"""An option under its heading in a verb's help."""

ModelOption = Annotated[
    str, what(help="'guestbook', a folder with a Hugging Face model, or a hub name.", metavar="MODEL")
]
PairsOption = Annotated[
    str,
    what(
        help="Polarity pairs: 'guestbook/sentiment' (or certainty, tense), or a JSONL, JSON, CSV, TSV or parquet file.",
        metavar="PAIRS",
    ),
]
ColumnsOption = Annotated[
    str,
    what(
        help="Our names of the columns of the pairs' file and its own, where those are unusual: "
        "query=prompt,positive=good,negative=bad.",
        metavar="OURS=ITS,...",
    ),
]
GroupOption = Annotated[
    str | None,
    what(help="The column of the pairs' topic or template, which a split keeps on one side.", metavar="COLUMN"),
]
FormatOption = Annotated[
    str,
    what(
        "--format",
        help="'raw' adds nothing to a query; 'chat' uses the tokenizer's chat template.",
        metavar="FORMAT",
    ),
]
LearnedFormatOption = Annotated[
    str | None,
    what("--format", help="raw or chat; by default the one with which the steer was learned.", metavar="FORMAT"),
]
MultipliersOption = Annotated[
    str, steers(help="Evenly spaced; 'auto' finds the range from no effect to collapse.", metavar="LO:HI:N")
]
InterventionOption = Annotated[Path, steers(help="A .safetensors file from a study or from training.", metavar="FILE")]
LearnedPositionsOption = Annotated[
    str | None,
    steers(help="all, completion or query; by default those with which the steer was learned.", metavar="POSITIONS"),
]
AnyModelOption = Annotated[bool, steers("--any-model", help="Use the steer on a model that it was not made for.")]
SeedOption = Annotated[int, running(help="The same seed gives the same numbers.", metavar="N")]
DeviceOption = Annotated[
    str | None, running(help="cpu, cuda or cuda:1; by default a GPU if there is one.", metavar="DEVICE")
]
DtypeOption = Annotated[
    str | None, running(help="float32, bfloat16 or float16; by default the model's own.", metavar="DTYPE")
]
JsonOption = Annotated[bool, running("--json", help="Print the same content as one JSON document.")]


def open_model(model: str, device: str | None, dtype: str | None) -> Any:
    """The model, on as many threads as do it good."""
    import mechsteer as ms

    opened = ms.load_model(model, device=device, dtype=dtype)
    ms.use_threads_for(opened)
    return opened


def read_pairs(pairs: str, columns: str, group: str | None) -> Any:
    """The pairs that a verb is asked to use."""
    import mechsteer as ms
    from analyses.studies.settings import parse_columns

    return ms.load_pairs(pairs, columns=parse_columns(split_list(columns)), group=group)


def split_list(text: str) -> tuple[str, ...]:
    """The items of a list with commas."""
    return tuple(item.strip() for item in text.split(",") if item.strip())
