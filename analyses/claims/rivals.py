"""The paper's curve against each rival, by the error on multipliers not seen, with pairs drawn again."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm

from mechsteer.curves import CurveFit, FitStatus, fit_curve
from mechsteer.curves.forms import Curve, Form, paper_form, rival_forms
from mechsteer.curves.separable import Solution, minimise, screen
from mechsteer.statistics.intervals import ConfidenceInterval, alternate_folds, percentile_interval, resampled_means
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import Key

from .result import MIN_PAIRS, too_few, undecided

N_STARTS = 16
"""Descents for the mean of all pairs; each resample then descends once, from the end that suits it best."""
N_RESAMPLES = 200
CANDIDATES_PER_START = 32
LEAST_CONVERGED = 0.95
"""Share of the resamples that must have come to rest for a comparison; the few others are left out of it."""


def compare(
    claim: str, part: str, equation: str, curve: type[Curve], multipliers: Float[ndarray, " m"],
    values: Float[ndarray, "m pairs"], *, key: Key, seed: int,
) -> tuple[CurveFit, Claim, pd.DataFrame]:  # fmt: skip
    """The fit, the claim that it predicts unseen multipliers better than every rival, and a row for each rival.

    To be better than all is supported only where it is better than each, so the largest p-value counts as it is; one
    rival that is better refutes, so that p-value is multiplied by the number of rivals. AICc must agree: half of the
    multipliers may be too few to find the right form, and then a wrong one predicts the rest better.
    """
    fit = fit_curve(curve, multipliers, values, n_resamples=N_RESAMPLES, seed=seed)
    if not fit.ok:
        return fit, undecided(claim, part, key, "nats", fit.status.value), pd.DataFrame()

    scaled = multipliers / np.abs(multipliers).max()
    defined = values[:, np.isfinite(values).all(axis=0)]
    means = np.concatenate([defined.mean(axis=1)[None], resampled_means(defined, N_RESAMPLES, seed)])
    errors = {
        form.name: _held_out_errors(form, scaled, means, seed)
        for form in (paper_form(curve, fit.variant, scaled), *rival_forms(curve, fit.variant, scaled))
    }
    paper = errors.pop(fit.score.name)
    scores = {score.name: score for score in fit.rivals}
    rows = []
    for name, rival in errors.items():
        difference = rival - paper
        drawn = difference[1:][np.isfinite(difference[1:])]
        if len(drawn) < LEAST_CONVERGED * N_RESAMPLES or np.isnan(difference[0]):
            difference[0], drawn = np.nan, np.full(1, np.nan)
        interval = percentile_interval(drawn)
        z = difference[0] / max(float(drawn.std()), np.finfo(float).tiny)
        tails = (norm.sf(z), norm.cdf(z))
        score, ends = scores[name], (interval.low, interval.high)
        rows.append((name, score.n_parameters, rival[0], difference[0], *ends, *tails, score.aicc - fit.aicc))
    columns = [
        "rival",
        "n_parameters",
        "held_out_error",
        "difference",
        "low",
        "high",
        "p_if_not_better",
        "p_if_not_worse",
        "aicc_difference",
    ]
    table = pd.DataFrame(rows, columns=columns).assign(paper_held_out_error=paper[0])
    return fit, _judge(claim, part, equation, key, fit, table), table


def too_few_defined(*values: Float[ndarray, "m _"]) -> str:
    """Why values of so few pairs decide nothing; empty if they are enough."""
    n_pairs = min(int(np.isfinite(item).all(axis=0).sum()) for item in values)
    return too_few(n_pairs) if n_pairs < MIN_PAIRS else ""


def _held_out_errors(
    form: Form, multipliers: Float[ndarray, " m"], means: Float[ndarray, "curves m"], seed: int
) -> Float[ndarray, " curves"]:
    """Root mean square error of each curve on the multipliers that its fits have not seen; the first is all pairs'.

    NaN where a fit did not converge.
    """
    folds, squares, n_scored = alternate_folds(len(multipliers)), np.zeros(len(means)), 0
    for fold in (0, 1):
        seen = folds != fold
        scored = ~seen & (multipliers > multipliers[seen][0]) & (multipliers < multipliers[seen][-1])
        columns = partial(form.columns, multipliers[seen])
        solved = _solve(form, columns, means[:, seen], seed)
        at_scored = form.columns(multipliers[scored], solved.shape)
        predicted = np.einsum("bmk,bk->bm", at_scored, solved.coefficients)
        squares += np.where(solved.converged, np.sum((means[:, scored] - predicted) ** 2, axis=1), np.nan)
        n_scored += int(scored.sum())
    return np.sqrt(squares / n_scored)


def _solve(form: Form, columns: Callable[[ndarray], ndarray], means: ndarray, seed: int) -> Solution:
    """For each curve."""
    candidates = form.candidates(N_STARTS * CANDIDATES_PER_START, seed)
    starts = screen(columns(candidates), means[:1], candidates, N_STARTS)[0]
    ends = minimise(columns, np.repeat(means[:1], len(starts), axis=0), starts, form.bounds).shape
    return minimise(columns, means, screen(columns(ends), means, ends, 1)[:, 0], form.bounds)


def _judge(claim: str, part: str, equation: str, key: Key, fit: CurveFit, table: pd.DataFrame) -> Claim:
    unknown = table.rival[table.difference.isna()]
    if len(unknown) == len(table):
        return undecided(claim, part, key, "nats", FitStatus.NOT_CONVERGED.value)
    closest = table.loc[table.difference.idxmin()]
    winners = table[(table.high < 0) & (table.aicc_difference < 0)]
    paper = f"{equation} ({fit.score.n_parameters} parameters, {table.paper_held_out_error.iloc[0]:.3g} nats)"
    outcome, p_value = Outcome.INCONCLUSIVE, float(table.p_if_not_better.max())
    if ((table.low > 0) & (table.aicc_difference > 0)).all():
        outcome = Outcome.SUPPORTED
        because = f"{paper} predicts unseen multipliers better than each of {len(table)} rivals."
    elif len(winners):
        outcome, p_value = Outcome.REFUTED, min(1.0, len(table) * float(winners.p_if_not_worse.min()))
        shown = zip(winners.rival, winners.n_parameters, winners.held_out_error, strict=True)
        names = " and ".join(f"{name} ({n_parameters}, {error:.3g})" for name, n_parameters, error in shown)
        because = f"{paper} predicts unseen multipliers worse than {names}."
    elif len(unknown):
        because = f"Fits of {' and '.join(unknown)} did not converge, so that {paper} cannot be set against them."
    elif (table.low > 0).all() or (table.high < 0).any():
        other = table.loc[table.aicc_difference.idxmin() if (table.low > 0).all() else table.high.idxmin()]
        because = (
            f"Unseen multipliers and AICc disagree on {paper} and {other.rival} ({other.n_parameters}, "
            f"{other.held_out_error:.3g})."
        )
    else:
        because = (
            f"{paper} cannot be told from {closest.rival} "
            f"({closest.n_parameters}, {closest.held_out_error:.3g}) on unseen multipliers."
        )
    interval = ConfidenceInterval(float(closest.low), float(closest.high))
    control = f"the closest rival, {closest.rival}, on the same unseen multipliers and pairs"
    return Claim(claim, part, key, float(closest.difference), "nats", interval, control, outcome, because, p_value)
