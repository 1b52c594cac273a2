"""What `study.json` says: what was studied and how, what is missing, and what a reader wants first, in figures and sentences."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import USEFUL, useful_range
from mechsteer.pairs.checks import Finding, check_losses
from mechsteer.pairs.polarity import Pairs
from mechsteer.store.units import Bench
from mechsteer.store.versions import MECHSTEER, installed

from ..evidence import comparison, forecast, prompting, reliability, scores, two_options
from ..units.judged import Score
from .contents import corrected, tables_of
from .folder import FORMAT
from .plan import Plan, Subjects, checked_concept
from .site import Chosen


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
            finding.to_dict() for finding in (*findings, *_unsteered(first, are_answers=bool(plan.two_options)))
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
    for unit in tables_of(plan):
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

    if (table := corrected(plan, bench)) is not None:
        for judge, rows in table.groupby("judge", sort=False):
            yield reliability.sentence_of_differences(rows, str(judge))


def _unsteered(sweep: Sweep, *, are_answers: bool) -> Iterator[Finding]:
    return check_losses(sweep.loss_positive[sweep.zero], sweep.loss_negative[sweep.zero], are_answers=are_answers)


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
