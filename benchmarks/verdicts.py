"""How often each claim's verdict is right, in worlds whose truth is planted: `python benchmarks/verdicts.py`."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from worlds import CASES, Case  # noqa: E402

from mechsteer.statistics.judging import Outcome  # noqa: E402


def rates(case: Case, seeds: Sequence[int]) -> dict[str, Counter[Outcome]]:
    """How often each claim came to each outcome."""
    found = {claim: Counter() for claim in case.truth}
    for seed in seeds:
        for claim in case.judge(seed).claims:
            found[claim.name][claim.outcome] += 1
    return found


def main(
    first: Annotated[int, typer.Option(help="The first seed; rules were tuned on seeds 0 to 99.")] = 100,
    n_seeds: int = 100,
    only: Annotated[str, typer.Option(help="The name of one analysis.")] = "",
) -> None:
    """Print a table in Markdown, percent of seeds; the right outcome is bold."""
    print("| claim | world | supported | refuted | inconclusive |\n|---|---|---:|---:|---:|")
    for case in CASES:
        if only not in ("", case.analysis.NAME):
            continue
        for claim, counts in rates(case, range(first, first + n_seeds)).items():
            cells = (
                f"**{counts[outcome] / n_seeds:.0%}**"
                if outcome is case.truth[claim]
                else f"{counts[outcome] / n_seeds:.0%}"
                for outcome in (Outcome.SUPPORTED, Outcome.REFUTED, Outcome.INCONCLUSIVE)
            )
            print(f"| {claim} | {case.world} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
