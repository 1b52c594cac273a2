"""SPLIT against the rest over finished studies: what tuning, budgets, site and seeds make of which gains more.

`python benchmarks/compared.py results/sentiment results/tense ...` prints, in Markdown, each study's differences with their
intervals over pairs and seeds, what every steer gains, what asking in words gains, and what tuning changed.
"""

import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tables import head, line  # noqa: E402

from analyses.studies.finished import Study  # noqa: E402
from mechsteer.measuring.useful import BUDGETS  # noqa: E402


def main(folders: Annotated[list[Path], typer.Argument(help="Folders of finished studies.")]) -> None:
    studies = {folder.name: Study.load(folder, with_sweeps=False) for folder in folders}
    print(head("SPLIT minus", *studies))
    differences = {name: study.table("differences") for name, study in studies.items()}
    for form, against in dict.fromkeys((row.form, row.against) for t in differences.values() for row in t.itertuples()):
        cells = [_difference(table, form, against) for table in differences.values()]
        print(line(f"{against}, {form.replace('_', ' ')}", *cells))
    for name, study in studies.items():
        site, n_seeds = study.summary["site"]["site"], study.summary["settings"]["seeds"]
        print(f"\n{name}, {site}, {n_seeds} seeds: preference gained (nats) where so much utility is lost")
        print(head("steer", *(f"{budget:g}" for budget in BUDGETS), "mean to a half", "best of tried", "untuned"))
        for row in _steers(study):
            print(line(*row))
        if study.sums.has("prompting.parquet"):
            asked = study.table("prompting").set_index("side").loc["both"]
            print(f"\nAsking in words gains {asked.gained:.2f} and loses {asked.lost:.2f} nats.")


def _difference(table: pd.DataFrame, form: str, against: str) -> str:
    rows = table.loc[(table.form == form) & (table.against == against)]
    return "".join(f"{r.difference:+.2f} [{r.low:.2f}, {r.high:.2f}] {r.outcome}" for r in rows.itertuples())


def _steers(study: Study) -> list[list[str]]:
    frontier = study.table("frontier")
    tuning = study.table("tuning") if study.sums.has("tuning.parquet") else None
    rows = []
    for (method, form), group in frontier.groupby(["method", "form"], sort=False):
        gained = [f"{group.loc[group.budget == budget, 'gained'].iloc[0]:.1f}" for budget in BUDGETS]
        area = group.loc[group.budget.isna()].iloc[0]
        tried = ["", ""]
        if tuning is not None and len(own := tuning.loc[(tuning.method == method) & (tuning.form == form)]):
            tried = [f"{own.gained.max():.1f} of {len(own)}", f"{own.loc[own.trial == 0, 'gained'].iloc[0]:.1f}"]
        name = f"{method} {str(form).replace('_', ' ')}"
        rows.append([name, *gained, f"{area.gained:.1f} [{area.low:.1f}, {area.high:.1f}]", *tried])
    return rows


if __name__ == "__main__":
    typer.run(main)
