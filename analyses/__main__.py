"""One analysis alone, from the evidence that a study has saved: `python -m analyses NAME --study DIR`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from mechsteer.errors import InputError, refused
from mechsteer.statistics.judging import Claim
from mechsteer.text import visible

from .claims import CLAIMS
from .studies.again import judge_again

COLOURS = {"supported": "green", "refuted": "red", "inconclusive": "yellow"}


def summary() -> str:
    """What each analysis claims: the first line of its file."""
    return "\n\n".join(f"{name}: {member.doc.splitlines()[0]}" for name, member in CLAIMS.members().items())


def lines(claim: Claim) -> Text:
    """A claim in words: what, of which steer, how it came out, and why."""
    interval = f"[{claim.interval.low:.3g}, {claim.interval.high:.3g}]"
    words = Text(visible(f"{claim.name}, {claim.key}: "))
    words.append(claim.outcome.value, style=COLOURS[claim.outcome.value])
    found = f", {claim.estimate:.3g} {interval} {claim.unit}, against {claim.control}.\n{claim.because}\n"
    words.append(visible(found))
    return words


app = typer.Typer(add_completion=False)


@app.command(help=f"Judge one claim of the paper by the evidence of a study.\n\n{summary()}")
def judge(
    name: Annotated[str, typer.Argument(help="Which analysis.")],
    study: Annotated[Path, typer.Option(help="The --out folder of a study that has collected evidence.")],
) -> None:
    """Print the claims."""
    try:
        result = judge_again(study, name)
    except (InputError, OSError) as error:
        print(f"analyses: {refused(error) if isinstance(error, OSError) else error}", file=sys.stderr)
        raise typer.Exit(2) from error
    for claim in result.claims:
        Console().print(lines(claim))
    print("One analysis alone: p-values are not corrected for the other claims of a study.")


if __name__ == "__main__":
    app()
