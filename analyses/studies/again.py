"""One analysis again, on what the folder of a finished study holds."""

from pathlib import Path

import pandas as pd

from mechsteer.errors import InputError
from mechsteer.measuring.sweeps import load_sweeps
from mechsteer.store.keys import split_by_key
from mechsteer.store.sums import Sums
from mechsteer.store.tables import read_table

from ..claims import CLAIMS
from ..claims.result import Result
from ..claims.verdict import Given, judge
from ..evidence.evidence import Evidence
from ..evidence.scores import Judged
from .finished import Study
from .tables import COLUMNS_OF

TABLES = ("one_operation", "chance", "coverage", "frozen_norms", "panel")
"""What claims need that are judged by a table."""


def judge_again(folder: Path, name: str) -> Result:
    """One analysis on what a study's folder holds."""
    CLAIMS.check(name)
    member, sums = CLAIMS[name], Sums.of(folder)
    paths = sums.names("evidence/*.npz")
    needs, once = member.get("NEEDS", "evidence"), member.get("SCOPE", "steer") != "steer"
    if needs not in ("sweeps", "scores", "all_scores", *TABLES) and not paths:
        raise InputError(f"{str(folder)!r} holds no evidence. Pass the folder of a study that collected some.")
    if needs in ("scores", "all_scores"):
        each = _judged(sums)
        # As the study itself does, of the steers that claims were asked of; of all, where it asked none.
        steers = Study.load(folder, with_sweeps=False).judged
        asked = [one for one in each if one.sweep.key in steers]
        given: list[Given] = [each] if needs == "all_scores" else list(asked or each)
    elif needs == "sweeps":
        given = [load_sweeps(sums.path("sweeps.parquet"))]
    elif needs in TABLES:
        name = f"evidence/{needs}"
        table = read_table(sums.path(f"{name}.parquet"), COLUMNS_OF[name])
        given = list(split_by_key(table).values())
    else:
        given = [Evidence.load(sums.path(path)) for path in (paths[:1] if once else paths)]
    results = [judge(member, item) for item in given]
    tables: dict[str, list[pd.DataFrame]] = {}
    for result in results:
        for table, frame in result.tables.items():
            tables.setdefault(table, []).append(frame)
    return Result(
        tuple(claim for result in results for claim in result.claims),
        {table: pd.concat(frames, ignore_index=True) for table, frames in tables.items()},
    )


def _judged(sums: Sums) -> list[Judged]:
    """What the first judge says of every steer's texts."""
    scores = read_table(sums.path("scores.parquet"), COLUMNS_OF["scores"])
    if scores.empty:
        raise InputError(f"{str(sums.folder)!r} holds no scores of texts. Have some judged: mechsteer judge STUDY.")
    by_key = split_by_key(scores.loc[scores.judge == scores.judge.iloc[0]])
    return [
        Judged(sweep, by_key[sweep.key]) for sweep in load_sweeps(sums.path("sweeps.parquet")) if sweep.key in by_key
    ]
