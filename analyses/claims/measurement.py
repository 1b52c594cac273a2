"""Preference and utility measure more than nuisance features of the texts.

Both come from the same two losses (arXiv 2602.02343, eqs. 7-8), so either may merely reflect how long or how easy a text is.
The claim is that completion length, position in the file and, for preference, base loss per token explain little of their
variance at m = 0. The test is a ridge regression judged on held-out pairs, its penalty chosen without them. Utility is the
log-odds of a whole completion, so length is expected to explain it.

That a regression predicts nothing says little where it could not: of few pairs it learns nothing of a nuisance that is there.
So power is measured by planting one that explains twice what is allowed, in these pairs' own features and log-odds. Where it is
not found, its absence is not shown.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.statistics.intervals import (
    N_RESAMPLES,
    percentile_interval,
    r_squared,
    resampled_means,
)
from mechsteer.statistics.judging import Claim, Outcome, judge, p_value

from ..evidence.evidence import Evidence
from .power import ENOUGH, N_PLANTED_RESAMPLES, WRONG, power
from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "measurement"
ORDER = 10
THEME = "measurement"
SCOPE = "model"
VERSION = 2
TITLES = {
    "preference": "Preference is more than the texts' length and difficulty",
    "utility": "Utility is more than the texts' length and difficulty",
}
FIGURE = "measurement"
MOST = 0.25
"""Largest share of the variance between pairs: that of a correlation of one half, conventionally called large."""
BOUNDS = dict.fromkeys(TITLES, (MOST,))
PLANTED = 2 * MOST
"""Share that nuisance explains where it is planted: at the bound itself, however many the pairs, no interval would tell."""
PENALTIES = np.geomspace(1e-3, 1e3, 13)
"""Of squared coefficients of features with variance one, for each pair: from none to so much that nothing is predicted."""
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
    drawn = _resampled(values, predictions, reference, N_RESAMPLES, evidence.seed)
    interval = percentile_interval(drawn)
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
    p = p_value(drawn, (-np.inf, MOST), outcome)
    claim = Claim(NAME, name, evidence.key, estimate, UNIT, interval, control, outcome, because, p)
    return _if_it_would_be_found(claim, features, values, evidence.seed)


def _resampled(
    values: Float[ndarray, " pairs"], predictions: Float[ndarray, " pairs"], reference: Float[ndarray, " pairs"],
    n_resamples: int, seed: int,
) -> Float[ndarray, " resamples"]:  # fmt: skip
    """R² of pairs drawn again; NaN where there is nothing to explain."""
    squares = np.square([values - predictions, values - reference])
    left, total = resampled_means(squares, n_resamples, seed).T
    return 1 - np.divide(left, total, out=np.full(len(left), np.nan), where=total > 0)


def _if_it_would_be_found(
    claim: Claim, features: Float[ndarray, "pairs features"], values: Float[ndarray, " pairs"], seed: int
) -> Claim:
    """Undecided where a nuisance that is there would not be seen. One that is seen needs no power."""
    standard = (features - features.mean(axis=0)) / features.std(axis=0).clip(min=1e-30)

    def planted(rng: np.random.Generator) -> Outcome:
        nuisance, own = standard @ rng.standard_normal(standard.shape[1]), rng.permutation(values)
        mixed = np.sqrt(PLANTED) * _scaled(nuisance) + np.sqrt(1 - PLANTED) * _scaled(own)
        drawn = _resampled(mixed, *_predict_unseen(features, mixed, rng), N_PLANTED_RESAMPLES, int(rng.integers(2**31)))
        return judge(percentile_interval(drawn), (-np.inf, MOST))

    found = power(f"they explain {PLANTED:.0%}", planted, seed)
    because = (
        f"{claim.because} Power: of simulations on this study's own data in which {found.truth}, {found.refuted:.0%} refute the "
        f"claim and {found.found:.0%} support it"
    )
    if claim.outcome is Outcome.REFUTED or (found.refuted >= ENOUGH and found.found <= WRONG):
        return replace(claim, because=f"{because}.")
    because += f". At least {ENOUGH:.0%} and at most {WRONG:.0%} are required, so this study cannot decide."
    return replace(claim, outcome=Outcome.INCONCLUSIVE, because=because, p_value=float("nan"))


def _scaled(values: Float[ndarray, " pairs"]) -> Float[ndarray, " pairs"]:
    return (values - values.mean()) / max(float(values.std()), 1e-30)


def _predict_unseen(
    features: Float[ndarray, "pairs features"], values: Float[ndarray, " pairs"], rng: np.random.Generator
) -> tuple[Float[ndarray, " pairs"], Float[ndarray, " pairs"]]:
    """For each pair, the prediction of a ridge regression on the other folds, and those folds' mean."""
    folds = rng.permutation(np.arange(len(values)) % N_FOLDS)
    predictions, reference = np.zeros((2, len(values)))
    for fold in range(N_FOLDS):
        seen = folds != fold
        mean, scale = features[seen].mean(axis=0), features[seen].std(axis=0)
        columns = (features - mean) / np.where(scale > 0, scale, 1)
        reference[~seen] = values[seen].mean()
        predictions[~seen] = reference[~seen] + columns[~seen] @ _ridge(
            columns[seen], values[seen] - values[seen].mean()
        )
    return predictions, reference


def _ridge(columns: Float[ndarray, "pairs features"], values: Float[ndarray, " pairs"]) -> Float[ndarray, " features"]:
    """Coefficients with the penalty by which each pair is best predicted from the others, all centred."""
    left, sizes, right = np.linalg.svd(columns, full_matrices=False)
    along = left.T @ values
    shrunk = sizes**2 / (sizes**2 + len(values) * PENALTIES[:, None])
    leverage = 1 / len(values) + shrunk @ np.square(left).T
    errors = (values - (shrunk * along) @ left.T) / (1 - leverage).clip(min=1e-12)
    best = np.argmin(np.mean(errors**2, axis=1))
    return right.T @ (sizes / (sizes**2 + len(values) * PENALTIES[best]) * along)


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
