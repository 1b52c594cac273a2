"""How often each claim's verdict is right, in worlds whose truth is planted: `python benchmarks/verdicts.py`."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import typer

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from worlds import CASES, Case  # noqa: E402

from mechsteer.claims import Outcome  # noqa: E402


def rates(case: Case, seeds: Sequence[int]) -> dict[str, Counter[Outcome]]:
    """How often each claim came to each outcome."""
    found = {claim: Counter() for claim in case.truth}
    for seed in seeds:
        for claim in case.analysis.run(case.build(seed)).claims:
            found[claim.claim][claim.outcome] += 1
    return found


def main(n_seeds: int = 100) -> None:
    """Print a table in Markdown, percent of seeds; the right outcome is bold."""
    print("| claim | world | supported | refuted | inconclusive |\n|---|---|---:|---:|---:|")
    for case in CASES:
        for claim, counts in rates(case, range(n_seeds)).items():
            cells = (
                f"**{counts[outcome] / n_seeds:.0%}**"
                if outcome is case.truth[claim]
                else f"{counts[outcome] / n_seeds:.0%}"
                for outcome in (Outcome.SUPPORTED, Outcome.REFUTED, Outcome.INCONCLUSIVE)
            )
            print(f"| {claim} | {case.world} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
