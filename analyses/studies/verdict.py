"""The verdict: every analysis on all the evidence of a study, corrected for how many claims there are.

Most analyses judge one steer, `run(evidence)`. Three do not: `one_operation.run(table)` reads what was compared while
the model was there; `random_control.run(sweeps, pairs)` and `split_wins.run(sweeps, pairs)` read all sweeps of a study.
A study's folder holds

    evidence/SLUG.npz           one steer's evidence
    evidence/one_operation.parquet
    sweeps.parquet
    claims.json                 every claim, corrected
    claims/NAME-TABLE.parquet   the numbers behind the claims of an analysis
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pandas as pd

from mechsteer.errors import InputError
from mechsteer.measuring.sweeps import load_sweeps
from mechsteer.statistics.judging import Claim, correct_for_many

from ..claims import (
    activation_map,
    linear_region,
    manifold_exists,
    measurement,
    off_manifold,
    one_operation,
    orthogonality,
    preference_curve,
    projection_gain,
    random_control,
    split_wins,
    transfer,
    utility_curve,
    validity,
)
from ..claims.result import Result, undecided
from ..evidence.evidence import Evidence
from .folder import write_json

ANALYSES: dict[str, ModuleType] = {
    module.NAME: module
    for module in (
        measurement,
        one_operation,
        manifold_exists,
        off_manifold,
        validity,
        orthogonality,
        projection_gain,
        linear_region,
        preference_curve,
        utility_curve,
        transfer,
        random_control,
        split_wins,
        activation_map,
    )
}
"""In the order of the paper's argument."""
OF_ALL_STEERS = ("random_control", "split_wins")
"""They compare the sweeps of a study."""
OF_THE_FIRST = ("activation_map",)
"""For looking at, one steer is enough."""
OF_THE_MODEL = ("measurement", "manifold_exists")
"""They speak of model, pairs and site, whatever is added there, so they are judged once in a study."""


def judge_study(folder: Path, report: Callable[[str], None] | None = None) -> list[Claim]:
    """Run every analysis on what the folder holds; writes claims.json and the tables, and returns the claims."""
    claims: list[Claim] = []
    for name in ANALYSES:
        result = judge_one(folder, name)
        claims += result.claims
        for table, frame in result.tables.items():
            path = folder / "claims" / f"{name}-{table}.parquet"
            path.parent.mkdir(exist_ok=True)
            frame.to_parquet(path, index=False)
        if report is not None:
            report(f"{name}: {len(result.claims)} claims")
    claims = correct_for_many(claims)
    write_json([claim.to_dict() for claim in claims], folder / "claims.json")
    return claims


def judge_one(folder: Path, name: str) -> Result:
    """One analysis on every steer of a folder, not yet corrected; its tables say which steer a row is of."""
    if name not in ANALYSES:
        raise InputError(f"There is no analysis {name!r}. Choose {', '.join(ANALYSES)}.")
    results = list(_results(folder, name))
    tables: dict[str, list[pd.DataFrame]] = {}
    for subject, result in results:
        for table, frame in result.tables.items():
            tables.setdefault(table, []).append(frame.assign(subject=subject))
    joined = {
        table: pd.concat([frame for frame in frames if len(frame)] or frames, ignore_index=True)
        for table, frames in tables.items()
    }
    return Result(tuple(claim for _, result in results for claim in result.claims), joined)


def _results(folder: Path, name: str) -> Iterator[tuple[str, Result]]:
    paths = sorted((folder / "evidence").glob("*.npz"))
    if not paths:
        raise InputError(f"{str(folder)!r} holds no evidence. Pass the folder of a study that collected some.")
    if name in OF_ALL_STEERS:
        pairs = _pairs(Evidence.load(paths[0]))
        yield "all steers", ANALYSES[name].run(load_sweeps(folder / "sweeps.parquet"), pairs)
    elif name == "one_operation":
        rows = pd.read_parquet(folder / "evidence" / "one_operation.parquet")
        for subject, group in rows.groupby("subject", sort=False):
            yield str(subject), one_operation.run(group)
    else:
        # One at a time: a steer's activations are the largest thing in a study.
        for path in paths[:1] if name in (*OF_THE_MODEL, *OF_THE_FIRST) else paths:
            evidence = Evidence.load(path)
            if name in OF_THE_MODEL:
                evidence = replace(evidence, subject=f"{_site(evidence)} on {_pairs(evidence)}")
            yield evidence.subject, _judged(ANALYSES[name], evidence)


def _judged(analysis: ModuleType, evidence: Evidence) -> Result:
    """What an analysis cannot work with decides nothing, and must not take the other claims with it."""
    try:
        return analysis.run(evidence)
    except InputError as error:
        return Result((undecided(analysis.NAME, evidence.subject, "", str(error)),))


def _site(evidence: Evidence) -> str:
    return f"{evidence.sweep.layer}:{evidence.sweep.place}"


def _pairs(evidence: Evidence) -> str:
    return evidence.subject.partition(" on ")[2]
