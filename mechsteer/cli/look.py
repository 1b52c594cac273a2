"""`mechsteer show`, `report` and `figures`: a finished study again, without its model."""

from pathlib import Path
from typing import Annotated

import typer

from analyses.studies.widths import CHOICES

from . import one_claim, summary
from .options import JsonOption, check_output
from .printing import echo, echo_json

FolderArgument = Annotated[Path, typer.Argument(help="The --out folder of a study.", metavar="DIR")]


def show(
    folder: FolderArgument,
    claim: Annotated[
        str | None,
        typer.Option(
            help="Open one claim, or all of one analysis: why, against what, on which numbers, in which figure.",
            metavar="NAME",
        ),
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="All of it: curves, every claim, tuning, time by stage.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print a study's verdict again, or open one claim."""
    if claim is None:
        content = summary.read(folder)
        blocks = summary.details(content) if details else summary.told(content)
    else:
        content = one_claim.read(folder, claim)
        blocks = one_claim.told(content)
    if as_json:
        echo_json(content)
    else:
        echo(*blocks)


def report(
    folders: Annotated[list[Path], typer.Argument(help="One study, or several side by side.", metavar="DIR")],
    out: Annotated[
        Path | None, typer.Option(help="The .html file to write; by default beside the first study.", metavar="FILE")
    ] = None,
) -> None:
    """Write report.html: one study, or several side by side."""
    from figures.page import write_report

    if out is not None:
        check_output(out, ".html")
    echo(str(write_report(folders, out)))


def figures(
    folder: FolderArgument,
    out: Annotated[
        Path | None, typer.Option(help="Where to put them; by default the study's figures/.", metavar="FOLDER")
    ] = None,
    width: Annotated[
        str | None, typer.Option(help=f"How wide: {CHOICES}; by default as the study says.", metavar="WIDTH")
    ] = None,
) -> None:
    """Draw a study's figures again, as PDF and PNG.

    Each has its caption and its numbers beside it. A campaign's are drawn, too.
    """
    from figures.__main__ import write

    echo(*map(str, write("all", folder, out, width)))
