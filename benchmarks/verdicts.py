"""How often each claim's verdict is right, in worlds whose truth is planted: `python benchmarks/verdicts.py`.

`--power` lets one thing in them grow, through where a claim becomes true; `--sizes STUDY` reads from a finished study what
worlds must be like.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from pandas.api.types import is_numeric_dtype

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from worlds import CASES, FAMILIES, sizes  # noqa: E402

from analyses.claims.result import Result  # noqa: E402
from analyses.studies.finished import Study  # noqa: E402
from mechsteer.statistics.judging import Outcome  # noqa: E402

OUTCOMES = (Outcome.SUPPORTED, Outcome.REFUTED, Outcome.INCONCLUSIVE)
HEAD = "supported | refuted | inconclusive |"


def rates(judge: Callable[[int], Result], seeds: Iterable[int]) -> dict[str, Counter[Outcome]]:
    """How often each claim came to each outcome."""
    found: dict[str, Counter[Outcome]] = {}
    for seed in seeds:
        for claim in judge(seed).claims:
            found.setdefault(claim.name, Counter())[claim.outcome] += 1
    return found


def main(
    first: Annotated[int, typer.Option(help="The first seed; rules were tuned on seeds 0 to 99.")] = 100,
    n_seeds: int = 100,
    only: Annotated[str, typer.Option(help="The name of one analysis.")] = "",
    power: Annotated[bool, typer.Option(help="Outcomes by the size of an effect.")] = False,
    read: Annotated[str, typer.Option("--sizes", help="The folder of a finished study to read sizes from.")] = "",
) -> None:
    """Print a table in Markdown, percent of seeds; the right outcome is bold."""
    seeds = range(first, first + n_seeds)
    if read:
        print_sizes(Study.load(read))
    elif power:
        print_power(only, seeds)
    else:
        print_cases(only, seeds)


def print_cases(only: str, seeds: range) -> None:
    print(f"| claim | world | {HEAD}\n|---|---|---:|---:|---:|")
    for case in CASES:
        if only not in ("", case.analysis.NAME):
            continue
        found = rates(case.judge, seeds)
        for claim, truth in case.truth.items():
            shares = [(outcome, f"{found[claim][outcome] / len(seeds):.0%}") for outcome in OUTCOMES]
            cells = (f"**{share}**" if outcome is truth else share for outcome, share in shares)
            print(f"| {claim} | {case.world} | {' | '.join(cells)} |", flush=True)


def print_power(only: str, seeds: range) -> None:
    """Beside each size the truth that it makes, in the claim's own unit."""
    print(f"| claim | world, by size | size | truth | {HEAD}\n|---|---|---:|---:|---:|---:|---:|")
    for family in FAMILIES:
        if only not in ("", family.analysis.NAME):
            continue
        for size in family.sizes:
            truth, found = family.truth(size), rates(partial(family.judge, size), seeds)
            for part in family.parts:
                claim = f"{family.analysis.NAME}: {part}" if part else family.analysis.NAME
                cells = (f"{found[claim][outcome] / len(seeds):.0%}" for outcome in OUTCOMES)
                world = f"{family.world}; {family.n_pairs} pairs"
                print(f"| {claim} | {world} | {size:g} | {truth[part]:.2g} | {' | '.join(cells)} |", flush=True)


def print_sizes(study: Study) -> None:
    tables = [sizes.sizes(study), sizes.areas(study)]
    if study.sums.has("evidence/chance.parquet"):
        tables.append(sizes.chances(study))
    print("\n\n".join(_markdown(table) for table in tables))


def _markdown(table: pd.DataFrame) -> str:
    cells = table.map(lambda value: value if isinstance(value, str) else f"{value:.2g}")
    rows = [table.columns, ["---:" if is_numeric_dtype(table[name]) else "---" for name in table], *cells.to_numpy()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    typer.run(main)
