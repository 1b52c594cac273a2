"""The paper's curve against each rival, by the error on multipliers not seen, with pairs drawn again."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm

from mechsteer.claims import Claim, Outcome
from mechsteer.curves import CurveFit, fit_curve
from mechsteer.curves.forms import Curve, Form, paper_form, rival_forms
from mechsteer.curves.separable import minimise, screen
from mechsteer.statistics import ConfidenceInterval, alternate_folds, percentile_interval, resampled_means

from .result import MIN_PAIRS, too_few, undecided

N_STARTS = 16
"""Descents for the mean of all pairs; each resample then descends once, from the end that suits it best."""
N_RESAMPLES = 200
CANDIDATES_PER_START = 32


def compare(
    claim: str, equation: str, curve: type[Curve], multipliers: Float[ndarray, " m"], values: Float[ndarray, "m pairs"], *,
    subject: str, seed: int,
) -> tuple[CurveFit, Claim, pd.DataFrame]:  # fmt: skip
    """The fit, the claim that it predicts unseen multipliers better than every rival, and a row for each rival.

    To be better than all is supported only where it is better than each, so the largest p-value counts as it is; one
    rival that is better refutes, so that p-value is multiplied by the number of rivals.
    """
    fit = fit_curve(curve, multipliers, values, n_resamples=N_RESAMPLES, seed=seed)
    if not fit.ok or fit.n_pairs < MIN_PAIRS:
        return fit, undecided(claim, subject, "nats", no_fit(fit)), pd.DataFrame()

    scaled = multipliers / np.abs(multipliers).max()
    defined = values[:, np.isfinite(values).all(axis=0)]
    means = np.concatenate([defined.mean(axis=1)[None], resampled_means(defined, N_RESAMPLES, seed)])
    errors = {
        form.name: _held_out_errors(form, scaled, means, seed)
        for form in (paper_form(curve, fit.variant, scaled), *rival_forms(curve, fit.variant, scaled))
    }
    paper = errors.pop(fit.score.name)
    n_parameters = {score.name: score.n_parameters for score in fit.rivals}
    rows = []
    for name, rival in errors.items():
        difference = rival - paper
        interval = percentile_interval(difference[1:])
        z = difference[0] / max(float(difference[1:].std()), np.finfo(float).tiny)
        tails = (norm.sf(z), norm.cdf(z))
        rows.append((name, n_parameters[name], rival[0], difference[0], interval.low, interval.high, *tails))
    columns = [
        "rival",
        "n_parameters",
        "held_out_error",
        "difference",
        "low",
        "high",
        "p_if_not_better",
        "p_if_not_worse",
    ]
    table = pd.DataFrame(rows, columns=columns).assign(paper_held_out_error=paper[0])
    return fit, _judge(claim, equation, subject, fit, table), table


def no_fit(fit: CurveFit) -> str:
    """Why a fit decides nothing."""
    return too_few(fit.n_pairs) if fit.ok else fit.status.value


def _held_out_errors(
    form: Form, multipliers: Float[ndarray, " m"], means: Float[ndarray, "curves m"], seed: int
) -> Float[ndarray, " curves"]:
    """Root mean square error of each curve on the multipliers that its fits have not seen; the first is all pairs'."""
    folds, squares, n_scored = alternate_folds(len(multipliers)), np.zeros(len(means)), 0
    for fold in (0, 1):
        seen = folds != fold
        scored = ~seen & (multipliers > multipliers[seen][0]) & (multipliers < multipliers[seen][-1])
        columns = partial(form.columns, multipliers[seen])
        solved = _solve(form, columns, means[:, seen], seed)
        predicted = np.einsum("bmk,bk->bm", form.columns(multipliers[scored], solved[0]), solved[1])
        squares += np.sum((means[:, scored] - predicted) ** 2, axis=1)
        n_scored += int(scored.sum())
    return np.sqrt(squares / n_scored)


def _solve(form: Form, columns: Callable[[ndarray], ndarray], means: ndarray, seed: int) -> tuple[ndarray, ndarray]:
    """Shape and coefficients for each curve."""
    candidates = form.candidates(N_STARTS * CANDIDATES_PER_START, seed)
    starts = screen(columns(candidates), means[:1], candidates, N_STARTS)[0]
    ends = minimise(columns, np.repeat(means[:1], len(starts), axis=0), starts, form.bounds).shape
    solution = minimise(columns, means, screen(columns(ends), means, ends, 1)[:, 0], form.bounds)
    return solution.shape, solution.coefficients


def _judge(claim: str, equation: str, subject: str, fit: CurveFit, table: pd.DataFrame) -> Claim:
    closest = table.loc[table.difference.idxmin()]
    winners = table[table.high < 0]
    paper = f"{equation} ({fit.score.n_parameters} parameters, {table.paper_held_out_error.iloc[0]:.3g} nats)"
    outcome, p_value = Outcome.INCONCLUSIVE, float(table.p_if_not_better.max())
    if (table.low > 0).all():
        outcome = Outcome.SUPPORTED
        because = f"{paper} predicts unseen multipliers better than each of {len(table)} rivals."
    elif len(winners):
        outcome, p_value = Outcome.REFUTED, min(1.0, len(table) * float(table.p_if_not_worse.min()))
        shown = zip(winners.rival, winners.n_parameters, winners.held_out_error, strict=True)
        names = " and ".join(f"{name} ({n_parameters}, {error:.3g})" for name, n_parameters, error in shown)
        because = f"{paper} predicts unseen multipliers worse than {names}."
    else:
        because = (
            f"{paper} cannot be told from {closest.rival} "
            f"({closest.n_parameters}, {closest.held_out_error:.3g}) on unseen multipliers."
        )
    interval = ConfidenceInterval(float(closest.low), float(closest.high))
    control = f"the closest rival, {closest.rival}, on the same unseen multipliers and pairs"
    return Claim(claim, subject, float(closest.difference), "nats", interval, control, outcome, because, p_value)
