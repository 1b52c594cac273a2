"""The paper's curve: is it adequate, and does it predict better than every rival? By blocks not seen, with pairs drawn again.

Six blocks of neighbouring multipliers are held out in turn, so that a form must carry a curve over a gap; the two at the ends
are drawn out of all others. Every other multiplier held out would test interpolation, which a spline without any theory
does best; it stands beside as what that reaches.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.stats import norm

from mechsteer.curves import CurveFit, FitStatus, fit_curve
from mechsteer.curves.fit import SPLINE, Score, score_of, weighted_error
from mechsteer.curves.forms import Curve, paper_form, rival_forms
from mechsteer.curves.preference import PreferenceCurve
from mechsteer.curves.search import N_STARTS, descend, predict_blocks, spline_blocks
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import USEFUL, useful_points, useful_range
from mechsteer.statistics.intervals import (
    N_BLOCKS,
    ConfidenceInterval,
    contiguous_blocks,
    percentile_interval,
    resampled_with,
)
from mechsteer.statistics.judging import Claim, Outcome, judge, p_value
from mechsteer.store.keys import Key

from .result import MIN_PAIRS, too_few, undecided

PARTS = ("adequate", "adequate, whole sweep", "best of rivals")
TOLERANCE = 0.10
"""Error on unseen multipliers that a reader would not see in a figure, as a share of the span of the curve there."""
SPAN = "share of the span"
LEAST_POINTS = 6
"""Multipliers in the useful range for an error over them: of six, its root mean square is known to a third."""
N_RESAMPLES = 200
"""Each descends once, from whichever end of the descents for the mean of all pairs suits it best."""
LEAST_CONVERGED = 0.95
"""Share of the resamples that must have come to rest for a comparison; the few others are left out of it."""


class Judged(NamedTuple):
    """The paper's curve of a sweep."""

    fit: CurveFit
    claims: tuple[Claim, ...]
    rivals: pd.DataFrame
    """A row for each rival, each other form of the paper's curve, and the spline."""


def judge_curve(
    claim: str,
    equation: str,
    curve: type[Curve],
    sweep: Sweep,
    slopes: Float[ndarray, " pairs"],
    *,
    key: Key,
    seed: int,
) -> Judged:
    """Fit the curve and judge it: adequate where steering is useful, over the whole sweep, and best of its rivals."""
    values = sweep.preference if curve is PreferenceCurve else sweep.utility
    fit = fit_curve(
        curve, sweep.multipliers, values, slopes=slopes, with_rivals=False, n_resamples=N_RESAMPLES, seed=seed
    )
    if fit.variant is None or not (fit.ok or fit.status is FitStatus.POOR):
        because = fit.status.value
        return Judged(
            fit, tuple(undecided(claim, part, key, unit, because) for part, unit in UNITS.items()), pd.DataFrame()
        )
    scaled, weights = sweep.multipliers / np.abs(sweep.multipliers).max(), 1 / fit.standard_errors
    defined = np.isfinite(values).all(axis=0)
    means = resampled_with(values[:, defined], N_RESAMPLES, seed)
    forms = {fit.score.name: paper_form(curve, fit.variant, scaled)}
    forms |= {form.name: form for form in rival_forms(curve, fit.variant, scaled)}
    predicted, scores = {SPLINE: spline_blocks(scaled, means)}, [fit.spline]
    for name, form in forms.items():
        known = descend(form, scaled, means[0], weights[None], N_STARTS, seed)
        predicted[name] = predict_blocks(form, scaled, means, weights, known, N_STARTS, seed)
        fitted = form.columns(scaled, known.shape[:1])[0] @ known.coefficients[0]
        scores.append(score_of(name, form.n_parameters, means[0], weights, fitted, predicted[name][0]))
    table = _compared(fit, scores, means, predicted, weights)
    errors, spline = means - predicted[fit.score.name], means[0] - predicted[SPLINE][0]
    low, high = useful_range(sweep)
    # Pairs differ in what they lose, so the range is drawn again with them.
    useful = useful_points(resampled_with(sweep.lost[:, defined], N_RESAMPLES, seed), sweep.zero)
    inside = np.broadcast_to(np.isin(fit.blocks, range(1, N_BLOCKS - 1)), means.shape)
    where = f"where at most {USEFUL:g} nats of utility are lost (m = {low:.3g} to {high:.3g})"
    claims = (
        _adequate(claim, PARTS[0], equation, key, fit, means, errors, spline, useful, where),
        _adequate(claim, PARTS[1], equation, key, fit, means, errors, spline, inside, "over the sweep but its ends"),
        _best(claim, PARTS[2], equation, key, fit, table.loc[table.kind == "rival"]),
    )
    return Judged(fit, claims, table)


UNITS = {PARTS[0]: SPAN, PARTS[1]: SPAN, PARTS[2]: "nats"}


def too_few_defined(*values: Float[ndarray, "m _"]) -> str:
    """Why values of so few pairs decide nothing; empty if they are enough."""
    n_pairs = min(int(np.isfinite(item).all(axis=0).sum()) for item in values)
    return too_few(n_pairs) if n_pairs < MIN_PAIRS else ""


def _adequate(
    claim: str, part: str, equation: str, key: Key, fit: CurveFit, means: Float[ndarray, "curves m"],
    errors: Float[ndarray, "curves m"], spline: Float[ndarray, " m"],
    at: Bool[ndarray, "curves m"], where: str,
) -> Claim:  # fmt: skip
    """Whether what is predicted of unseen multipliers misses by little there.

    The luck of the pairs is part of every miss, and resamples hold it twice over. What they miss more than the mean does is
    therefore taken off too (a basic bootstrap of the squares), or a true curve is refuted where luck exceeds the tolerance.
    The interval reaches as far as either says: neither alone covers an error of just the tolerance.
    """
    if (n := at[0].sum()) < LEAST_POINTS:
        because = f"{n} multipliers lie {where}; {LEAST_POINTS} are needed. Sweep more of them near zero."
        return undecided(claim, part, key, SPAN, because)
    spans = np.max(means, axis=1, where=at, initial=-np.inf) - np.min(means, axis=1, where=at, initial=np.inf)
    shares = np.sqrt(np.mean(errors**2, axis=1, where=at)) / spans
    drawn = shares[1:][np.isfinite(shares[1:])]
    if not np.isfinite(shares[0]) or len(drawn) < LEAST_CONVERGED * len(shares[1:]):
        return undecided(claim, part, key, SPAN, FitStatus.NOT_CONVERGED.value)
    without_luck, span = np.sqrt(np.maximum(2 * shares[0] ** 2 - drawn**2, 0)), spans[0]
    ends = [percentile_interval(samples) for samples in (drawn, without_luck)]
    interval = ConfidenceInterval(min(end.low for end in ends), max(end.high for end in ends))
    outcome = judge(interval, (0.0, TOLERANCE))
    because = (
        f"{equation} ({fit.variant}) predicts held-out multipliers with an error of {shares[0] * span:.2g} nats {where}. That is "
        f"{shares[0]:.1%} [{interval.low:.1%}, {interval.high:.1%}] of the span of mean {fit.quantity} there; up to "
        f"{TOLERANCE:.0%} is tolerated."
    )
    control = f"a monotone spline without theory, whose error there is {np.sqrt(np.mean(spline[at[0]] ** 2)):.2g} nats"
    # The larger: of the samples that say least.
    p = float(np.max([p_value(samples, (-np.inf, TOLERANCE), outcome) for samples in (drawn, without_luck)]))
    return Claim(claim, part, key, float(shares[0]), SPAN, interval, control, outcome, because, p)


def _compared(
    fit: CurveFit, known: Sequence[Score], means: Float[ndarray, "curves m"], predicted: dict[str, Float[ndarray, "curves m"]],
    weights: Float[ndarray, " m"],
) -> pd.DataFrame:  # fmt: skip
    """By how much each errs more than the paper's curve, inside the sweep and at its ends."""
    blocks = contiguous_blocks(means.shape[1])
    inside = (blocks > 0) & (blocks < N_BLOCKS - 1)
    errors = {
        name: [weighted_error(means - found, weights, at) for at in (inside, ~inside)]
        for name, found in predicted.items()
    }
    paper, rows = errors.pop(fit.score.name), []
    scores = {score.name: score for score in known}
    for name, rival in errors.items():
        row = {
            "kind": "rival" if name != SPLINE else "spline",
            "rival": name,
            "n_parameters": scores[name].n_parameters,
        }
        for place, theirs, ours in zip(("", "end_"), rival, paper, strict=True):
            row |= _difference(place, theirs, ours)
        rows.append(row | {"aicc_difference": scores[name].aicc - fit.aicc})
    for score in fit.variants:
        row = {"kind": "variant", "rival": score.name, "n_parameters": score.n_parameters}
        row |= {"held_out_error": score.held_out_error, "end_error": score.end_error}
        rows.append(row | {"aicc_difference": score.aicc - fit.aicc})
    return pd.DataFrame(rows).assign(paper_held_out_error=paper[0][0], paper_end_error=paper[1][0])


def _difference(place: str, rival: Float[ndarray, " curves"], paper: Float[ndarray, " curves"]) -> dict[str, float]:
    difference = rival - paper
    drawn = difference[1:][np.isfinite(difference[1:])]
    if len(drawn) < LEAST_CONVERGED * len(difference[1:]) or np.isnan(difference[0]):
        drawn = np.full(1, np.nan)
    interval = percentile_interval(drawn)
    z = difference[0] / max(float(drawn.std()), np.finfo(float).tiny)
    return {
        f"{place or 'held_out_'}error": float(rival[0]), f"{place}difference": float(difference[0]),
        f"{place}low": interval.low, f"{place}high": interval.high,
        **({} if place else {"p_if_not_better": float(norm.sf(z)), "p_if_not_worse": float(norm.cdf(z))}),
    }  # fmt: skip


def _best(claim: str, part: str, equation: str, key: Key, fit: CurveFit, table: pd.DataFrame) -> Claim:
    """Better than each inside, and nowhere worse at the ends, supports it; one rival of which that is true refutes it.

    At the ends the mean alone counts: a curve that is drawn out need not have a best shape for all pairs drawn again.

    To be better than all is supported only where it is better than each, so the largest p-value counts as it is; one rival
    that is better refutes, so that p-value is multiplied by the number of rivals. AICc must agree: without a block a fit may
    miss what that block alone shows.
    """
    known = table.loc[table.low.notna() & table.end_difference.notna()]
    if known.empty:
        return undecided(claim, part, key, "nats", FitStatus.NOT_CONVERGED.value)
    closest = known.loc[known.difference.idxmin()]
    beaten = (table.low > 0) & (table.end_difference > 0) & (table.aicc_difference > 0)
    winners = known.loc[(known.high < 0) & (known.end_difference < 0) & (known.aicc_difference < 0)]
    errors = (
        f"errors {closest.paper_held_out_error:.3g} nats inside the sweep and {closest.paper_end_error:.3g} at its ends"
    )
    paper = f"{equation} ({fit.variant}, {fit.score.n_parameters} parameters, {errors})"
    outcome, p = Outcome.INCONCLUSIVE, float("nan")
    if beaten.all():
        outcome, p = Outcome.SUPPORTED, float(table.p_if_not_better.max())
        because = f"{paper} predicts held-out multipliers better than each of {len(table)} rivals."
    elif len(winners):
        outcome, p = Outcome.REFUTED, min(1.0, len(table) * float(winners.p_if_not_worse.min()))
        because = f"{paper} predicts held-out multipliers worse than {_named(winners)}."
    elif len(known) < len(table):
        missing = " and ".join(table.rival.drop(known.index))
        because = f"Fits of {missing} did not converge, so {paper} cannot be compared with them."
    else:
        others = table.loc[~beaten]
        which = "neither" if len(others) == 1 else "none of them"
        because = (
            f"{paper} is not distinguishable from {_named(others)}: {which} is better both inside and at the ends."
        )
    interval = ConfidenceInterval(float(closest.low), float(closest.high))
    control = f"the closest rival inside the sweep, {closest.rival}, on the same held-out multipliers and pairs"
    return Claim(claim, part, key, float(closest.difference), "nats", interval, control, outcome, because, p)


def _named(rows: pd.DataFrame) -> str:
    shown = zip(rows.rival, rows.n_parameters, rows.held_out_error, rows.end_error, strict=True)
    return " or ".join(f"{name} ({n} parameters, {inside:.3g} and {end:.3g})" for name, n, inside, end in shown)
