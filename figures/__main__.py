"""Figures from saved results, without a model: `python -m figures NAME --study DIR`, of a study or a campaign."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from analyses.campaigns.campaign import Campaign
from analyses.studies.finished import Study
from analyses.studies.widths import CHOICES, inches
from mechsteer.errors import InputError, refused

from . import all_figures, campaigns, draw_one


def summary() -> str:
    """What each figure shows: the first line of its file."""
    every = all_figures() | campaigns.FIGURES.members()
    return "\n\n".join(f"{name}: {member.doc.splitlines()[0]}" for name, member in every.items())


def write(name: str, study: Path, out: Path | None, width: str | None = None) -> list[Path]:
    """One figure of a study or a campaign, or all of them."""
    is_campaign = (study / "campaign.json").is_file()
    known = list(campaigns.FIGURES.members() if is_campaign else all_figures())
    if name != "all" and name not in known:
        raise InputError(f"There is no figure {name!r}. Choose {', '.join(known)}, or all.")
    inches(width or "")
    draw = partial(campaigns.draw_one, Campaign.load(study)) if is_campaign else partial(draw_one, Study.load(study))
    names = known if name == "all" else [name]
    written = [path for chosen in names for path in draw(chosen, out or study / "figures", width)]
    if not written and is_campaign:
        raise InputError(
            f"No claims were asked in the campaign in {str(study)!r}, and its figures show claims. Set `claims` in its plan."
        )
    if not written:
        raise InputError(
            f"The study in {str(study)!r} has no results that {name!r} shows. Try all, which draws what there is."
        )
    return written


app = typer.Typer(add_completion=False)


@app.command(
    help=f"Draw a figure as PDF and PNG, with its caption as text and TeX and its numbers as CSV.\n\n{summary()}"
)
def draw(
    name: Annotated[str, typer.Argument(help="Which figure, or all.")],
    study: Annotated[Path, typer.Option(help="The --out folder of a finished study, or of a campaign.")],
    out: Annotated[Path | None, typer.Option(help="Where to put the files; by default the study's figures/.")] = None,
    width: Annotated[str | None, typer.Option(help=f"How wide: {CHOICES}; by default as the study says.")] = None,
) -> None:
    """Print what was written."""
    try:
        for path in write(name, study, out, width):
            print(path)
    except (InputError, OSError) as error:
        print(f"figures: {refused(error) if isinstance(error, OSError) else error}", file=sys.stderr)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    app()
