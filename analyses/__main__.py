"""One analysis alone, from the evidence that a study has saved: `python -m analyses NAME --study DIR`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mechsteer.claims import Claim
from mechsteer.errors import InputError

from .verdict import ANALYSES, judge_one

COLOURS = {"supported": "green", "refuted": "red", "inconclusive": "yellow"}


def summary() -> str:
    """What each analysis claims: the first line of its file."""
    return "\n\n".join(f"{name}: {str(module.__doc__).splitlines()[0]}" for name, module in ANALYSES.items())


def table(claims: tuple[Claim, ...]) -> Table:
    """A row for each claim."""
    rows = Table("claim", "subject", "estimate", "95 % interval", "outcome", "because", box=None, show_lines=True)
    for claim in claims:
        interval = f"[{claim.interval.low:.3g}, {claim.interval.high:.3g}]"
        outcome = f"[{COLOURS[claim.outcome.value]}]{claim.outcome.value}[/]"
        estimate = f"{claim.estimate:.3g} {claim.unit}"
        rows.add_row(claim.claim, claim.subject, estimate, interval.replace("[", r"\["), outcome, claim.because)
    return rows


app = typer.Typer(add_completion=False)


@app.command(help=f"Judge one claim of the paper by the evidence of a study.\n\n{summary()}")
def judge(
    name: Annotated[str, typer.Argument(help="Which analysis.")],
    study: Annotated[Path, typer.Option(help="The --out folder of a study that has collected evidence.")],
) -> None:
    """Print the claims."""
    try:
        result = judge_one(study, name)
    except InputError as error:
        print(f"analyses: {error}", file=sys.stderr)
        raise typer.Exit(2) from error
    Console().print(table(result.claims))
    print("One analysis alone: p-values are not corrected for the other claims of a study.")


if __name__ == "__main__":
    app()
