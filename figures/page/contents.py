"""What the page carries of a study: curves of every steer, values of every pair, and every table."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from analyses.evidence.evidence import Evidence, why_none
from analyses.studies.finished import Study
from analyses.verdict import Verdict, verdict_of
from analyses.verdict.verdict import judged_sweeps
from mechsteer.curves.reading import read_curve
from mechsteer.measuring.sweeps import Sweep
from mechsteer.models.sites import parse_sites
from mechsteer.store.keys import rows_of
from mechsteer.store.reading import json_of, read_bytes

from ..distance import DISTANCES
from ..drawing.saved import means, saved
from .looks import page_looks
from .numbers import rounded
from .pictures import pictures
from .tables import DIGITS as TABLE_DIGITS
from .tables import all_tables

QUANTITIES = ("preference", "utility")
CURVE_POINTS_PER_STEP = 6
PAIR = {"id": str, "query": str, "positive": str, "negative": str}
DIGITS = 5
"""Of what curves are drawn from; single pairs have four."""


def study_data(study: Study, max_values: int) -> dict[str, Any]:
    """Everything that the scripts draw from, ready for JSON; `max_values` bounds the values of single pairs."""
    carried, judged = {}, study.judged
    for sweep in sorted(study.sweeps, key=lambda sweep: sweep.key not in judged):
        max_values -= sweep.preference.size
        carried[sweep.key] = max_values >= 0
    return {
        "looks": page_looks(study),
        "distances": {name: words.replace("$", "") for name, words in DISTANCES.items()},
        "steers": [_steer(study, sweep, carried[sweep.key]) for sweep in steers_of(study)],
        "pairs": _pairs(study),
        "concept": _concept(study),
        "tables": all_tables(study),
        "pictures": pictures(study),
    }


def _concept(study: Study) -> str | None:
    """What the exact checker's marks are read for; None where there is no checker."""
    return study.summary.get("concept") or None


def steers_of(study: Study) -> list[Sweep]:
    """Every steer's sweep; the one of which the verdict speaks comes first."""
    first = judged_sweeps(study)[0]
    return [first, *(sweep for sweep in study.sweeps if sweep is not first)]


def _start(verdict: Verdict, sweep: Sweep) -> int:
    """The largest multiplier at which the steer is useful, or the last at which the verdict's query was continued."""
    last = max(verdict.flip.texts) if verdict.flip else verdict.useful.ends[1]
    within = np.flatnonzero(sweep.multipliers <= max(last, 0.0))
    return int(within[-1])


def verdict_on_page(study: Study, sweep: Sweep) -> Verdict:
    """Its commands are those that run in the study's folder, which may be read anywhere."""
    return verdict_of(study, sweep, Path())


def verdict_view(verdict: Verdict) -> dict[str, Any]:
    """As the page shows it; its three texts stand beside the curves, as those of all queries do."""
    rows = [{"label": label, "words": words} for label, words in verdict.rows if (label, words) not in verdict.texts]
    return {"ended": verdict.ended.value, "headline": verdict.headline, "rows": rows}


def _band(values: Float[ndarray, "m pairs"]) -> dict[str, Any]:
    """The mean over pairs that are defined at every multiplier, how many they are, and its 95 % interval."""
    table = means(values)
    columns = {"mean": table["value"], "low": table["low"], "high": table["high"]}
    return {name: rounded(column, DIGITS) for name, column in columns.items()} | {
        "n": int(np.isfinite(values).all(axis=0).sum())
    }


def steer_data(study: Study, sweep: Sweep, with_pairs: bool) -> dict[str, Any]:
    """A steer's curves: what was measured, and the paper's where it could be fitted."""
    steer: dict[str, Any] = {
        "key": sweep.key.id,
        "name": sweep.key.steer,
        "slug": sweep.key.slug,
        "method": sweep.method,
        "form": sweep.form,
        "site": sweep.key.sites,
        "hook": sweep.hooks,
        "positions": sweep.key.positions,
        "multipliers": rounded(sweep.multipliers, DIGITS),
        "relative_shift": rounded(sweep.relative_shift.mean(axis=1), DIGITS),
        "zero": sweep.zero,
        "values": None,
    }
    for quantity in QUANTITIES:
        fits = study.fits.get(sweep.key)
        steer[quantity] = _band(getattr(sweep, quantity)) | {"fit": _fit(fits[quantity], sweep) if fits else None}
    if with_pairs:
        steer["values"] = _values(sweep)
    return steer


def _steer(study: Study, sweep: Sweep, with_pairs: bool) -> dict[str, Any]:
    """The same with its verdict, where it is useful, and how many of the answers under it are valid."""
    verdict = verdict_on_page(study, sweep)
    return steer_data(study, sweep, with_pairs) | {
        "start": _start(verdict, sweep),
        "flip": verdict.flip
        and {"query": verdict.flip.query, "multipliers": rounded([*verdict.flip.texts], TABLE_DIGITS)},
        "useful": rounded(verdict.useful.ends, DIGITS),
        "followed": _followed(study, sweep),
        "not_followed": not_followed(study, sweep),
        "valid": {name: rounded(verdict.useful.checked[name], DIGITS) for name in ("multiplier", "share", "n")},
        "verdict": verdict_view(verdict),
    }


def _followed(study: Study, sweep: Sweep) -> dict[str, int] | None:
    """From how many tokens of how many pairs it is known how far the steer leads; None where that is not told."""
    evidence = f"evidence/{sweep.key.slug}.npz"
    if study.sums.has(evidence):
        pair = Evidence.load(study.sums.path(evidence)).token_pair
        return {"tokens": len(pair), "pairs": len(np.unique(pair))}
    table = saved(study, "distance")
    rows = None if table is None else rows_of(table, sweep.key)
    if rows is None or rows.empty:
        return None
    return {"tokens": int(rows.n_tokens.iloc[0]), "pairs": int(rows.n_pairs.iloc[0])}


def not_followed(study: Study, sweep: Sweep) -> str:
    """What stands where distances and the map would, of a steer without them."""
    if because := why_none(parse_sites(sweep.key.sites), sweep.key.rule):
        return because
    if study.fits and sweep.key not in study.fits:
        return "Not measured of this training seed. Choose the same steer of the first seed."
    return (
        "Not measured: too few tokens of the learning pairs were read, or an earlier version did this study. Learn from more "
        "pairs, or run it again."
    )


def _values(sweep: Sweep) -> dict[str, Any]:
    """Every pair's preference and utility, and the share of multipliers that move its preference the wrong way."""
    change = sweep.preference - sweep.preference[sweep.zero]
    wrong = change * np.sign(sweep.multipliers)[:, None] < 0
    return {
        "preference": [rounded(row) for row in sweep.preference],
        "utility": [rounded(row) for row in sweep.utility],
        "wrong": rounded(wrong[sweep.multipliers != 0].mean(axis=0), 3),
        "tokens_positive": sweep.tokens_positive.tolist(),
        "tokens_negative": sweep.tokens_negative.tolist(),
    }


def _fit(fit: dict[str, Any], sweep: Sweep) -> dict[str, Any]:
    """The curve, dense, and what was predicted of multipliers while they were held out."""
    found = {"ok": fit["ok"], "status": fit["status"].lower().replace("_", " "), "score": fit["score"]}
    if not fit["ok"]:
        return found
    n = len(sweep.multipliers)
    steps = np.linspace(0, n - 1, CURVE_POINTS_PER_STEP * (n - 1) + 1)
    dense = np.interp(steps, np.arange(n), sweep.multipliers)
    return found | {
        "x": rounded(dense, DIGITS),
        "y": rounded(read_curve(fit)(dense)),
        "held_out": rounded(np.array(fit["held_out_predictions"], dtype=np.float64)),
    }


def _pairs(study: Study) -> dict[str, list[str]]:
    """The test pairs' texts, in the order of the sweeps; empty texts where the study has kept none."""
    known: dict[str, dict[str, str]] = {}
    if study.sums.has("pairs.jsonl"):
        path = study.sums.path("pairs.jsonl")
        # Not splitlines: it also breaks at characters that JSON allows within a text.
        rows = [json_of(line, PAIR, path) for line in read_bytes(path).split(b"\n") if line]
        known = {row["id"]: row for row in rows}
    ids = study.sweeps[0].pairs
    texts = {name: [known.get(pair, {}).get(name, "") for pair in ids] for name in ("query", "positive", "negative")}
    return {"id": list(ids), **texts}
