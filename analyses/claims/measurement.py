"""Preference and utility measure more than nuisance features of the texts.

Both come from the same two losses (arXiv 2602.02343, eqs. 7-8), so either may merely reflect how long or how easy a text is.
The claim is that completion length, position in the file and, for preference, base loss per token explain little of their
variance at m = 0. The test is a linear regression judged on held-out pairs. Utility is the log-odds of a whole completion,
so length is expected to explain it.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.statistics.intervals import (
    N_RESAMPLES,
    bootstrap_interval,
    percentile_interval,
    r_squared,
    resampled_means,
)
from mechsteer.statistics.judging import Claim, Outcome, interval_p_value, judge

from ..evidence.evidence import Evidence
from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "measurement"
ORDER = 10
THEME = "measurement"
SCOPE = "model"
TITLES = {
    "preference": "Preference is more than the texts' length and difficulty",
    "utility": "Utility is more than the texts' length and difficulty",
}
FIGURE = "measurement"
MOST = 0.25
"""Largest share of the variance between pairs: that of a correlation of one half, conventionally called large."""
BOUNDS = dict.fromkeys(TITLES, (MOST,))
N_FOLDS = 10
"""Each regression is fitted to nine tenths of the pairs: with the fewest pairs, 18 of them for at most four features."""
UNIT = "R² on unseen pairs"


def run(evidence: Evidence) -> Result:
    """A claim for each log-odds, with tables of single correlations and of the balance between the two completions."""
    sweep = evidence.sweep
    zero = sweep.zero
    lengths = np.stack([sweep.tokens_positive, sweep.tokens_negative]).astype(np.float64)
    per_token = np.stack([sweep.loss_positive[zero], sweep.loss_negative[zero]]) / lengths
    # Not the difference of the losses per token, which is preference by another name.
    nuisances = {
        "length": lengths.mean(axis=0),
        "length_difference": lengths[0] - lengths[1],
        "loss_per_token": per_token.mean(axis=0),
        "position_in_file": np.arange(len(sweep.pairs), dtype=np.float64),
    }
    measured = {"preference": sweep.preference[zero], "utility": sweep.utility[zero]}
    # Length times loss per token is the loss of a completion, which is utility by another name.
    of_utility = {name: feature for name, feature in nuisances.items() if name != "loss_per_token"}
    claims = (
        _explained("preference", measured["preference"], nuisances, evidence),
        _explained("utility", measured["utility"], of_utility, evidence),
    )
    correlations = pd.DataFrame(
        [
            (name, nuisance, _correlation(values, feature))
            for name, values in measured.items()
            for nuisance, feature in nuisances.items()
        ],
        columns=["log_odds", "nuisance", "correlation"],
    )
    balance = _balance({"length": lengths, "loss_per_token": per_token}, evidence.seed)
    return Result(claims, {"correlations": correlations, "balance": balance})


def _explained(name: str, values: Float[ndarray, " pairs"], nuisances: dict[str, ndarray], evidence: Evidence) -> Claim:
    defined = np.isfinite(values)
    if defined.sum() < MIN_PAIRS:
        return undecided(NAME, name, evidence.key, UNIT, too_few(int(defined.sum())))
    values = values[defined]
    features = np.stack([feature[defined] for feature in nuisances.values()], axis=1)
    rng = np.random.default_rng(evidence.seed)
    predictions, reference = _predict_unseen(features, values, rng)
    estimate = r_squared(values, predictions, reference)
    interval = bootstrap_interval(
        r_squared, values, predictions, reference, n_resamples=N_RESAMPLES, seed=evidence.seed
    )
    shuffled = []
    for _ in range(100):
        order = rng.permutation(len(values))
        shuffled.append(r_squared(values[order], *_predict_unseen(features, values[order], rng)))
    r = {nuisance: _correlation(values, feature[defined]) for nuisance, feature in nuisances.items()}
    strongest = max(r, key=lambda nuisance: abs(np.nan_to_num(r[nuisance])))
    outcome = judge(interval, (-np.inf, MOST))
    *others, last = (nuisance.replace("_", " ") for nuisance in nuisances)
    because = (
        f"A regression on {', '.join(others)} and {last} predicts {name} on held-out pairs with R² = {estimate:.2f} "
        f"[{interval.low:.2f}, {interval.high:.2f}]; at most {MOST} is allowed."
    )
    if np.isfinite(r[strongest]):
        because += f" The strongest single feature is {strongest.replace('_', ' ')} (r = {r[strongest]:+.2f})."
    if outcome is Outcome.REFUTED and (name, strongest) == ("utility", "length"):
        because += " A longer completion is less likely as a whole, so compare utility within the same pairs."
    control = f"{name} shuffled between pairs (R² = {np.mean(shuffled):+.2f})"
    p = interval_p_value(interval, (-np.inf, MOST), outcome)
    return Claim(NAME, name, evidence.key, estimate, UNIT, interval, control, outcome, because, p)


def _predict_unseen(
    features: Float[ndarray, "pairs features"], values: Float[ndarray, " pairs"], rng: np.random.Generator
) -> tuple[Float[ndarray, " pairs"], Float[ndarray, " pairs"]]:
    """For each pair, the prediction of least squares on the other folds, and those folds' mean."""
    folds = rng.permutation(np.arange(len(values)) % N_FOLDS)
    columns = np.column_stack([features, np.ones(len(values))])
    columns /= np.linalg.norm(columns, axis=0).clip(min=1e-30)
    predictions, reference = np.zeros((2, len(values)))
    for fold in range(N_FOLDS):
        seen = folds != fold
        coefficients = np.linalg.lstsq(columns[seen], values[seen])[0]
        predictions[~seen], reference[~seen] = columns[~seen] @ coefficients, values[seen].mean()
    return predictions, reference


def _correlation(values: Float[ndarray, " pairs"], feature: Float[ndarray, " pairs"]) -> float:
    """Pearson's r over defined pairs; NaN where either side does not vary."""
    defined = np.isfinite(values) & np.isfinite(feature)
    if defined.sum() < 2 or not np.ptp(values[defined]) or not np.ptp(feature[defined]):
        return float("nan")
    return float(np.corrcoef(values[defined], feature[defined])[0, 1])


def _balance(features: dict[str, Float[ndarray, "2 pairs"]], seed: int) -> pd.DataFrame:
    """How far the positive completions differ from the negative ones, with intervals over pairs."""
    rows = []
    for name, (positive, negative) in features.items():
        difference = positive - negative
        interval = percentile_interval(resampled_means(difference[None], N_RESAMPLES, seed)[:, 0])
        spread = float(np.std([positive, negative]))
        rows.append((name, positive.mean(), negative.mean(), difference.mean(), interval.low, interval.high, spread))
    return pd.DataFrame(rows, columns=["feature", "positive", "negative", "difference", "low", "high", "spread"])
