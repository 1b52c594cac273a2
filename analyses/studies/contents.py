"""What a study's folder holds: every table, steer and claim of its plan, from the store, under the names that people read."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mechsteer.measuring.sweeps import Sweep, save_sweeps
from mechsteer.measuring.useful import USEFUL, useful_range
from mechsteer.models.sites import Site, write_sites
from mechsteer.pairs.checks import Finding, check_losses
from mechsteer.pairs.polarity import Pairs
from mechsteer.statistics.judging import Claim, correct_for_many
from mechsteer.store.atomic import write_json
from mechsteer.store.keys import labelled
from mechsteer.store.units import Bench
from mechsteer.store.versions import MECHSTEER, installed

from ..claims import CLAIMS
from ..claims.gate import gated
from ..evidence import comparison, forecast, prompting, reliability, scores, two_options
from ..units.judged import Score
from ..units.steers import ChooseSite
from ..units.sweeps import TablesUnit
from ..units.tuning import tuning_table
from .folder import FORMAT
from .plan import Plan, Subjects, checked_concept


@dataclass(frozen=True)
class Chosen:
    """Where to steer, at one site or several, why, and what the choice rests on."""

    sites: tuple[Site, ...]
    because: str
    unit: ChooseSite | None

    @property
    def hooks(self) -> str:
        """TransformerLens's names of them."""
        return ",".join(site.hook for site in self.sites)

    def __str__(self) -> str:
        return write_sites(self.sites)


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
        ("second_utility", plan.second_utility), ("side_effects", plan.side_effects), ("answers", plan.answers),
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
    _write(_corrected(plan, bench), work / "corrected_differences.parquet")
    claims = _claims(work, plan, bench)
    tables = bench.get(plan.comparison).tables
    if tables:
        differences = comparison.as_judged(tables["differences"], claims)
        _write(_named(tables["frontier"], plan), work / "frontier.parquet")
        _write(_named(differences, plan), work / "differences.parquet")
    if "prompting" in tables:
        _write(tables["prompting"], work / "prompting.parquet")
        _write(_named(tables["against_prompting"], plan), work / "against_prompting.parquet")


def describe(
    plan: Plan, subjects: Subjects, work: Path, bench: Bench, chosen: Chosen, findings: Sequence[Finding]
) -> dict[str, Any]:
    """What study.json says, but for how long it took and which files there are."""
    first, model = bench.get(plan.sweeps[0]), subjects.model
    sweeps, summary = [bench.get(sweep) for sweep in plan.sweeps], summarise(first, bench.get(plan.fits[0]))
    differences = work / "differences.parquet"
    told = comparison.sentences(pd.read_parquet(differences), plan.settings.tune) if differences.is_file() else []
    tables = bench.get(plan.comparison).tables
    if "prompting" in tables:
        told.append(prompting.sentence(tables["prompting"], tables["against_prompting"]))
    return {
        "format": FORMAT,
        "plan": plan.id,
        "mechsteer": MECHSTEER,
        "settings": plan.settings.to_dict(),
        "command": plan.settings.command,
        "versions": installed(),
        "model": {
            "name": model.name,
            "revision": model.revision,
            "fingerprint": model.weights,
            "tokenizer": model.tokenizer,
            "dtype": model.dtype,
            "quantisation": model.quantisation,
            "n_layers": model.n_layers,
            "d_model": model.d_model,
        },
        "pairs": {
            "learning": _about(subjects.learning),
            "testing": _about(subjects.testing),
            "others": [_about(pairs) for pairs in subjects.others],
            "second": [_about(pairs) for pairs in subjects.second],
        },
        "findings": [
            asdict(finding) for finding in (*findings, *_unsteered(first, are_answers=bool(plan.two_options)))
        ],
        "pairs_with_moved_boundary": sum(bench.get(unit)["moved"] for unit in plan.tokens),
        "site": {"site": str(chosen), "hook": chosen.hooks, "because": chosen.because},
        "concept": checked_concept(plan.settings),
        "judged": [sweep.result.columns() for sweep in plan.judged],
        "multipliers": [{"key": sweep.key.columns()} | _range(sweep) for sweep in sweeps],
        "missing": _missing(plan, bench),
        "summary": summary
        | {
            "comparison": told,
            "single_pairs": [
                *_of_single_pairs(plan, bench),
                *_of_two_options(plan, bench, summary["multiplier_of_it"]),
            ],
            "second": _of_second(plan, bench, first),
            "coverage": _of_coverage(first),
            "judged": list(_of_judged(plan, bench, summary["multiplier_of_it"])),
        },
        "units": [unit.key for unit in plan.units],
    }


def _missing(plan: Plan, bench: Bench) -> dict[str, str]:
    """Why units of a kind have no tables; of judges, which of them."""
    found: dict[str, str] = {}
    for unit in _tables(plan):
        if because := bench.get(unit).because:
            found[unit.kind] = f"{unit.bar.request.label}: {because}" if isinstance(unit, Score) else because
    return found


def summarise(sweep: Sweep, fits: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The figures that a reader wants first (nats, multipliers)."""
    preference, utility = sweep.preference.mean(axis=1), np.nanmean(sweep.utility, axis=1)
    zero = sweep.zero
    best = int(np.argmax(np.where(sweep.lost.mean(axis=1) <= USEFUL, preference, -np.inf)))
    return {
        "key": sweep.key.columns(),
        "preference_at_zero": preference[zero],
        "utility_at_zero": utility[zero],
        "largest_useful_preference": preference[best],
        "accuracy_at_zero": float(sweep.accuracy_at(np.zeros(1))[0]),
        "accuracy_of_it": float(sweep.accuracy_at(sweep.multipliers[[best]])[0]),
        "multiplier_of_it": sweep.multipliers[best],
        "relative_shift_of_it": float(sweep.relative_shift[best].mean()),
        "preference_held_out_r_squared": fits["preference"]["score"]["held_out_r_squared"],
        "utility_held_out_r_squared": fits["utility"]["score"]["held_out_r_squared"],
        "useful": USEFUL,
        "pairs_without_utility": int(np.isnan(sweep.utility).any(axis=0).sum()),
    }


def _of_single_pairs(plan: Plan, bench: Bench) -> list[str]:
    """What was predicted of the first steer, and what it does to single pairs; nothing where it has no slope."""
    unit = plan.single_pairs[0]
    told = bench.get(unit).tables.get("steerability")
    return [] if told is None else forecast.sentences(told, unit.sweep.result.steer, unit.forecast.site)


def _of_two_options(plan: Plan, bench: Bench, multiplier: float) -> list[str]:
    """What the first steer does for the concept and what for an answer, where its pairs are answers to choose from."""
    tables = [bench.get(unit).tables.get("two_options") for unit in plan.two_options[:1]]
    steer = plan.sweeps[0].result.steer
    return [two_options.sentence(table, steer, multiplier) for table in tables if table is not None]


def _of_second(plan: Plan, bench: Bench, first: Sweep) -> list[str]:
    """What the first steer does to the second utility."""
    from ..evidence.second_utility import sentence

    table = bench.get(plan.second_utility[0]).tables.get("second_utility")
    return [] if table is None else [sentence(table, first.key.steer, useful_range(first))]


def _of_coverage(first: Sweep) -> list[str]:
    """How much of the model's probability is measured."""
    from ..evidence.coverage import sentence

    return [sentence(first)]


def _of_judged(plan: Plan, bench: Bench, multiplier: float) -> Iterator[str]:
    """What each judge says of the first steer's texts."""
    for unit in plan.scores[:: len(plan.sweeps)]:
        if (table := bench.get(unit).tables.get("judged")) is not None:
            yield scores.sentence(table, unit.result.steer, multiplier)
    for unit in plan.reliability:
        table = bench.get(unit).tables.get("reliability")
        if table is not None and unit.result == plan.sweeps[0].result:
            yield reliability.sentence(table, unit.score.bar.request.label)

    if (table := _corrected(plan, bench)) is not None:
        for judge, rows in table.groupby("judge", sort=False):
            yield reliability.sentence_of_differences(rows, str(judge))


def _corrected(plan: Plan, bench: Bench) -> pd.DataFrame | None:
    """Differences between steers by every judge whose errors are known."""
    tables = [bench.get(unit).tables.get("corrected_differences") for unit in plan.differences]
    found = [table for table in tables if table is not None]
    return _named(pd.concat(found, ignore_index=True), plan) if found else None


def _unsteered(sweep: Sweep, *, are_answers: bool) -> Iterator[Finding]:
    return check_losses(sweep.loss_positive[sweep.zero], sweep.loss_negative[sweep.zero], are_answers=are_answers)


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


def _tables(plan: Plan) -> Sequence[TablesUnit]:
    compared = (*plan.asked, plan.comparison)
    return (
        *compared,
        *plan.single_pairs,
        *plan.two_options,
        *plan.second_utility,
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


def _about(pairs: Pairs) -> dict[str, Any]:
    return {"name": pairs.name, "n": len(pairs), "fingerprint": pairs.fingerprint}


def _range(sweep: Sweep) -> dict[str, float]:
    return {
        "low": sweep.multipliers[0],
        "high": sweep.multipliers[-1],
        "n": len(sweep.multipliers),
        "relative_shift_low": float(sweep.relative_shift[0].mean()),
        "relative_shift_high": float(sweep.relative_shift[-1].mean()),
    }
