"""What a study's folder holds: every table, steer and claim of its plan, from the store, under the names that people read."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from mechsteer.measuring.sweeps import save_sweeps
from mechsteer.statistics.judging import Claim, correct_for_many
from mechsteer.store.atomic import write_json
from mechsteer.store.keys import labelled
from mechsteer.store.units import Bench

from ..claims import CLAIMS
from ..claims.gate import gated
from ..evidence import comparison
from ..units.sweeps import TablesUnit
from ..units.tuning import tuning_table
from .plan import Plan
from .site import Chosen


def fill(work: Path, plan: Plan, bench: Bench, chosen: Chosen) -> None:
    """All but study.json."""
    (work / "pairs.jsonl").write_text(bench.get(plan.sweeps[0].pairs).to_json_lines(), encoding="utf-8")
    if chosen.unit is not None:
        bench.get(chosen.unit).to_parquet(work / "sites.parquet", index=False)
    for sweep in plan.sweeps:
        _copy(bench, sweep.steer, "steer.safetensors", work / "interventions" / f"{sweep.result.slug}.safetensors")
    save_sweeps([bench.get(sweep) for sweep in plan.sweeps], work / "sweeps.parquet")
    fits = [{"key": unit.sweep.result.columns()} | bench.get(unit) for unit in plan.fits]
    write_json(fits, work / "fits.json")
    for name, units in (
        ("pairs_steered", plan.single_pairs), ("steerability", plan.single_pairs), ("two_options", plan.two_options),
        ("second_utility", plan.second_utility), ("distance", plan.followed), ("places", plan.followed),
        ("side_effects", plan.side_effects), ("answers", plan.answers),
        ("texts", plan.texts), ("samples", [unit.samples for unit in plan.scores[: len(plan.sweeps)]]),
        ("scores", plan.scores), ("judged", plan.scores), ("reliability", plan.reliability),
    ):  # fmt: skip
        _write(_joined(bench, units, name), work / f"{name}.parquet")
    for unit in plan.by_layer:
        _write(bench.get(unit).tables.get("side_effects_by_layer"), work / "side_effects_by_layer.parquet")
    for unit in plan.evidence:
        _copy(bench, unit, "evidence.npz", work / "evidence" / f"{unit.sweep.result.slug}.npz")
    for name, units in (
        ("one_operation", plan.edited),
        ("chance", plan.chance),
        ("coverage", plan.coverage),
        ("frozen_norms", plan.frozen),
        ("panel", plan.panel),
    ):
        _write(_joined(bench, units, name), work / "evidence" / f"{name}.parquet")
    _write(tuning_table(plan.trials, bench), work / "tuning.parquet")
    _write(corrected(plan, bench), work / "corrected_differences.parquet")
    claims = _claims(work, plan, bench)
    tables = bench.get(plan.comparison).tables
    if tables:
        differences = comparison.as_judged(tables["differences"], claims)
        _write(_named(tables["frontier"], plan), work / "frontier.parquet")
        _write(_named(differences, plan), work / "differences.parquet")
    if "prompting" in tables:
        _write(tables["prompting"], work / "prompting.parquet")
        _write(_named(tables["against_prompting"], plan), work / "against_prompting.parquet")


def corrected(plan: Plan, bench: Bench) -> pd.DataFrame | None:
    """Differences between steers by every judge whose errors are known."""
    tables = [bench.get(unit).tables.get("corrected_differences") for unit in plan.differences]
    found = [table for table in tables if table is not None]
    return _named(pd.concat(found, ignore_index=True), plan) if found else None


def _claims(work: Path, plan: Plan, bench: Bench) -> list[Claim]:
    """Writes every claim, corrected for how many are judged together, and the tables behind them."""
    if not plan.verdicts:
        return []
    result = plan.sweeps[0].result
    claims: list[Claim] = []
    tables: dict[str, list[pd.DataFrame]] = {}
    for unit in plan.verdicts:
        found = bench.get(unit)
        claims += found.claims
        for name, table in found.tables.items():
            tables.setdefault(f"{unit.claim}-{name}", []).append(table)
    # Under the names by which this study calls its model and pairs.
    names = {"model": result.model, "pairs": result.pairs}
    claims = [replace(claim, key=replace(claim.key, **names)) for claim in claims]
    claims = correct_for_many(gated(claims, {name for name, member in CLAIMS.members().items() if member.get("GATE")}))
    write_json([claim.to_dict() for claim in claims], work / "claims.json")
    for name, parts in tables.items():
        joined = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
        _write(
            joined.assign(**{name: said for name, said in names.items() if name in joined}),
            work / "claims" / f"{name}.parquet",
        )
    return claims


def tables_of(plan: Plan) -> Sequence[TablesUnit]:
    compared = (*plan.asked, plan.comparison)
    return (
        *compared,
        *plan.single_pairs,
        *plan.two_options,
        *plan.second_utility,
        *plan.followed,
        *plan.side_effects,
        *plan.by_layer,
        *plan.answers,
        *plan.texts,
        *plan.edited,
        *plan.chance,
        *plan.coverage,
        *plan.frozen,
        *plan.panel,
        *dict.fromkeys(unit.samples for unit in plan.scores),
        *plan.scores,
        *plan.reliability,
        *plan.differences,
    )


def _joined(bench: Bench, units: Sequence[Any], name: str) -> pd.DataFrame | None:
    """The table of that name of every unit that has it, each with its steer's key."""
    parts = [labelled(table, unit.result) for unit in units if (table := bench.get(unit).tables.get(name)) is not None]
    return pd.concat(parts, ignore_index=True) if parts else None


def _named(table: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    result = plan.sweeps[0].result
    return table.assign(model=result.model, pairs=result.pairs)


def _write(table: pd.DataFrame | None, path: Path) -> None:
    if table is not None:
        path.parent.mkdir(exist_ok=True)
        table.to_parquet(path, index=False)


def _copy(bench: Bench, unit: Any, name: str, path: Path) -> None:
    """A copy, not a link: what is changed in a study's folder must not change the store."""
    path.parent.mkdir(exist_ok=True)
    shutil.copyfile(bench.place(unit) / name, path)
