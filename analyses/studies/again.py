"""One analysis again, on what the folder of a finished study holds."""

from pathlib import Path

import pandas as pd

from mechsteer.errors import InputError
from mechsteer.measuring.sweeps import load_sweeps
from mechsteer.store.keys import split_by_key

from ..claims import CLAIMS
from ..claims.result import Result
from ..claims.verdict import Given, judge
from ..evidence.evidence import Evidence


def judge_again(folder: Path, name: str) -> Result:
    """One analysis on what a study's folder holds."""
    CLAIMS.check(name)
    member = CLAIMS[name]
    paths = sorted((folder / "evidence").glob("[!.]*.npz"))
    needs, once = member.get("NEEDS", "evidence"), member.get("SCOPE", "steer") != "steer"
    if needs not in ("sweeps", "one_operation") and not paths:
        raise InputError(f"{str(folder)!r} holds no evidence. Pass the folder of a study that collected some.")
    if needs == "sweeps":
        given: list[Given] = [load_sweeps(folder / "sweeps.parquet")]
    elif needs == "one_operation":
        given = list(split_by_key(pd.read_parquet(folder / "evidence" / "one_operation.parquet")).values())
    else:
        given = [Evidence.load(path) for path in (paths[:1] if once else paths)]
    results = [judge(member, item) for item in given]
    tables: dict[str, list[pd.DataFrame]] = {}
    for result in results:
        for table, frame in result.tables.items():
            tables.setdefault(table, []).append(frame)
    return Result(
        tuple(claim for result in results for claim in result.claims),
        {table: pd.concat(frames, ignore_index=True) for table, frames in tables.items()},
    )
