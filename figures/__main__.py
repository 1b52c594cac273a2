"""Figures from a study's saved results, without its model: `python -m figures NAME --study DIR`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from analyses.studies.finished import Study
from mechsteer.errors import InputError, refused

from . import all_figures, draw_one


def summary() -> str:
    """What each figure shows: the first line of its file."""
    return "\n\n".join(f"{name}: {member.doc.splitlines()[0]}" for name, member in all_figures().items())


def write(name: str, study: Path, out: Path | None) -> list[Path]:
    """One figure, or all of them."""
    known = list(all_figures())
    if name != "all" and name not in known:
        raise InputError(f"There is no figure {name!r}. Choose {', '.join(known)}, or all.")
    loaded = Study.load(study)
    names = known if name == "all" else [name]
    written = [path for chosen in names for path in draw_one(loaded, chosen, out or study / "figures")]
    if not written:
        raise InputError(
            f"The study in {str(study)!r} has no results that {name!r} shows. Try all, which draws what there is."
        )
    return written


app = typer.Typer(add_completion=False)


@app.command(help=f"Draw a figure as PDF and PNG, with its numbers as CSV.\n\n{summary()}")
def draw(
    name: Annotated[str, typer.Argument(help="Which figure, or all.")],
    study: Annotated[Path, typer.Option(help="The --out folder of a finished study.")],
    out: Annotated[Path | None, typer.Option(help="Where to put the files; by default the study's figures/.")] = None,
) -> None:
    """Print what was written."""
    try:
        for path in write(name, study, out):
            print(path)
    except (InputError, OSError) as error:
        print(f"figures: {refused(error) if isinstance(error, OSError) else error}", file=sys.stderr)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    app()
