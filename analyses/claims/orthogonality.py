"""Steering moves preference and hardly utility: ω_uᵀΔh ≈ 0 (arXiv 2602.02343, eqs. 13-17).

In many dimensions any two directions are nearly orthogonal, and activations fill few dimensions, so a small cosine says
nothing by itself. `cos(ω_u, Δh)` is therefore set against random directions with the activations' covariance in place
of Δh, and what a unit of the multiplier does to utility against what it does to preference. The claim holds where both
are small, and fails where both are not.

The readouts ω_u and ω_p are estimated twice: as gradients of the log-odds by a shift at the site (`gradient`), and by
a ridge regression of the unsteered log-odds on a pair's mean activation (`regression`), which sees no gradient. They
are means over pairs, as the paper's curves are. Noise makes a mean longer and so its cosines smaller, which would speak
for the claim: cosines are therefore those of the part that is no noise, and nothing is concluded from a readout that is
mostly noise, or that predicts pairs left out of the regression no better than the length of their completions does.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import norm
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict

from mechsteer.statistics.intervals import ConfidenceInterval, percentile_interval, r_squared
from mechsteer.statistics.judging import Claim, Outcome, judge

from ..evidence.evidence import Evidence
from .manifold_exists import gaussian_like
from .result import Result, undecided
from .tokens import by_pair, if_enough

NAME = "orthogonality"
ORDER = 60
TITLES = {
    "gradient": "The utility direction is orthogonal to the shift, by gradients",
    "regression": "The utility direction is orthogonal to the shift, by regression",
}
FIGURE = "orthogonality"

CENTRAL = 0.95
"""Share of the random directions whose cosines are nothing unusual."""
SMALL = 0.25
"""Largest effect on utility, as a share of that on preference, that may be neglected beside it."""
LEAST_SIGNAL = 0.5
"""Least share of a readout's squared length that is no noise."""
LEAST_EXPLAINED = 0.1
"""Least share of the error of a prediction from length that a regression removes on pairs left out."""
N_RANDOM = 20_000
N_RESAMPLES = 2000
N_REGRESSIONS = 200
PENALTIES = np.logspace(-2, 4, 13)


@dataclass(frozen=True, eq=False)
class Directions:
    """ω_u, ω_p and Δh, and what Δh does to utility and preference; first of all pairs, then of pairs drawn again."""

    utility: Float[ndarray, "draws d"]
    preference: Float[ndarray, "draws d"]
    delta: Float[ndarray, "draws d"]
    effect_utility: Float[ndarray, " draws"]
    effect_preference: Float[ndarray, " draws"]
    n_pairs: int
    explained: float = np.nan
    """Of utility on pairs left out of a regression."""

    @property
    def signal(self) -> float:
        """Share of the squared length of ω_u that is no noise."""
        return _signal(self.utility)

    @property
    def cosines(self) -> dict[str, Float[ndarray, " draws"]]:
        """Of the part that is no noise; its length is divided by, so that the doubt is in the direction alone."""
        named = {"ω_u": self.utility, "ω_p": self.preference, "Δh": self.delta}
        units = {name: draws / _length(draws) for name, draws in named.items()}
        return {
            f"cos({a}, {b})": np.clip(np.sum(units[a] * units[b], axis=1), -1, 1)
            for a, b in (("ω_u", "Δh"), ("ω_p", "ω_u"), ("ω_p", "Δh"))
        }

    @property
    def ratio(self) -> Float[ndarray, " draws"]:
        """Effect on utility per effect on preference."""
        return self.effect_utility / self.effect_preference


def run(evidence: Evidence) -> Result:
    """One claim by each way of finding the readouts."""
    site = evidence.layers[evidence.site_layer]
    rng = np.random.default_rng(evidence.seed)
    centre = site.learning.mean(axis=0, dtype=np.float64)
    random = gaussian_like(site.learning, N_RANDOM, rng) - centre
    claims, tables, nulls = [], [], []
    for method, found in (("gradient", by_gradient(evidence, rng)), ("regression", by_regression(evidence, rng))):
        if found is None:
            nothing = "No pair has a utility, so ω_u is undefined. Use losses summed over tokens."
            claims.append(undecided(NAME, method, evidence.key, "cosine", nothing))
            continue
        null = {
            "cos(ω_u, Δh)": _cosine(found.utility[:1], random),
            "cos(ω_p, ω_u)": _cosine(found.utility[:1], random),
            "cos(ω_p, Δh)": _cosine(found.preference[:1], random),
        }
        table = _table(found, null).assign(readout=method)
        tables.append(table)
        nulls.append(pd.DataFrame({"readout": method, "cosine": null["cos(ω_u, Δh)"]}))
        claims.append(if_enough(found.n_pairs, _claim(evidence, method, found, null["cos(ω_u, Δh)"])))
    if not tables:
        return Result(tuple(claims))
    both = {"cosine": pd.concat(tables, ignore_index=True), "random": pd.concat(nulls, ignore_index=True)}
    return Result(tuple(claims), both)


def by_gradient(evidence: Evidence, rng: np.random.Generator) -> Directions | None:
    """Means over pairs of the gradients, of Δh, and of the slopes that automatic differentiation finds."""
    parts = np.concatenate([evidence.gradient_utility, evidence.gradient_preference, evidence.delta], axis=1)
    parts = np.column_stack([parts, evidence.slope_utility, evidence.slope_preference])
    parts = parts[np.isfinite(parts).all(axis=1)].astype(np.float64)
    if len(parts) < 2:
        return None
    means = _counts(len(parts), N_RESAMPLES, rng) @ parts / len(parts)
    utility, preference, delta = np.split(means[:, :-2], 3, axis=1)
    return Directions(utility, preference, delta, means[:, -2], means[:, -1], len(parts))


def by_regression(evidence: Evidence, rng: np.random.Generator) -> Directions | None:
    """Readouts that predict a pair's unsteered log-odds from its mean activation and the length of its completions."""
    sweep, pairs = evidence.sweep, np.unique(evidence.token_pair)
    zero = sweep.zero
    base = evidence.layers[evidence.site_layer].base.astype(np.float64)
    lengths = (sweep.tokens_positive + sweep.tokens_negative)[pairs].astype(np.float64)
    inputs, utility = by_pair(base.T, evidence.token_pair).T, sweep.utility[zero, pairs]
    defined = np.isfinite(utility)
    if defined.sum() < 2:
        return None
    inputs, lengths = inputs[defined], lengths[defined]
    scale = np.sqrt(np.var(inputs, axis=0).sum())
    # Length is one more input, as wide as all activations together, so that the penalty leaves it almost alone.
    width = np.std(lengths) or 1.0
    inputs = np.column_stack([inputs / scale, (lengths - lengths.mean()) / width])
    counts = _counts(len(inputs), N_REGRESSIONS, rng)
    coefficients, explained = [], []
    for target in (utility[defined], sweep.preference[zero, pairs][defined]):
        penalty = float(np.asarray(RidgeCV(PENALTIES).fit(inputs, target).alpha_))
        n_folds = min(10, len(inputs))
        by_all, by_length = (
            np.asarray(cross_val_predict(RidgeCV(PENALTIES), known, target, cv=n_folds))
            for known in (inputs, inputs[:, -1:])
        )
        explained.append(r_squared(target, by_all, by_length))
        fits = np.array([_ridge(inputs, target, weights, penalty) for weights in counts])
        coefficients.append(fits[:, :-1] / scale)
    readout_utility, readout_preference = coefficients
    delta = counts @ evidence.delta[pairs][defined].astype(np.float64) / len(inputs)
    return Directions(
        readout_utility,
        readout_preference,
        delta,
        effect_utility=np.sum(readout_utility * delta, axis=1),
        effect_preference=np.sum(readout_preference * delta, axis=1),
        n_pairs=len(inputs),
        explained=explained[0],
    )


def _ridge(
    inputs: Float[ndarray, "pairs inputs"],
    target: Float[ndarray, " pairs"],
    weights: Int[ndarray, " pairs"],
    penalty: float,
) -> Float[ndarray, " inputs"]:
    """Weighted ridge regression, solved among the pairs, which are mostly fewer than the inputs."""
    root = np.sqrt(weights)
    x = root[:, None] * (inputs - np.average(inputs, axis=0, weights=weights))
    y = root * (target - np.average(target, weights=weights))
    return x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(len(y)), y)


def _counts(n_pairs: int, n_resamples: int, rng: np.random.Generator) -> Int[ndarray, "draws pairs"]:
    """How often each pair is drawn; once each in the first row."""
    drawn = rng.multinomial(n_pairs, np.full(n_pairs, 1 / n_pairs), size=n_resamples)
    return np.concatenate([np.ones((1, n_pairs), dtype=drawn.dtype), drawn])


def _signal(draws: Float[ndarray, "draws d"]) -> float:
    """Share of the first's squared length that the scatter of the others leaves."""
    square, noise = np.sum(draws[0] ** 2), np.mean(np.sum((draws[1:] - draws[0]) ** 2, axis=1))
    return float(max(1 - noise / square, 0.0)) if square > 0 else 0.0


def _length(draws: Float[ndarray, "draws d"]) -> float:
    """Of the part that is no noise; NaN for what is mostly noise and has no direction."""
    signal = _signal(draws)
    return float(np.linalg.norm(draws[0]) * np.sqrt(signal)) if signal >= LEAST_SIGNAL else np.nan


def _cosine(a: Float[ndarray, "n d"], b: Float[ndarray, "m d"]) -> Float[ndarray, " k"]:
    """Row by row; a single row goes with every row of the other. Zero has no direction, and no cosine with any."""
    scale = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide(np.sum(a * b, axis=1), scale, out=np.zeros_like(scale), where=scale > 0)


def _table(found: Directions, null: dict[str, ndarray]) -> pd.DataFrame:
    rows = []
    for name, draws in found.cosines.items():
        interval = percentile_interval(draws[1:])
        limit = np.quantile(np.abs(null[name]), CENTRAL)
        rows.append((name, draws[0], interval.low, interval.high, limit, _p_value(draws[0], null[name])))
    interval = percentile_interval(found.ratio[1:])
    rows.append(("ω_uᵀΔh / ω_pᵀΔh", found.ratio[0], interval.low, interval.high, np.nan, np.nan))
    columns = ["quantity", "estimate", "low", "high", "random_limit", "p_random"]
    return pd.DataFrame(rows, columns=columns).assign(
        signal=found.signal, explained=found.explained, n_pairs=found.n_pairs
    )


def _p_value(cosine: float, null: Float[ndarray, " random"]) -> float:
    """How often a random direction has a cosine as large; NaN for one that is undefined."""
    return float(np.mean(np.append(np.abs(null), np.inf) >= abs(cosine))) if np.isfinite(cosine) else np.nan


def _claim(evidence: Evidence, method: str, found: Directions, null: Float[ndarray, " random"]) -> Claim:
    cosines, ratios = found.cosines["cos(ω_u, Δh)"], found.ratio
    interval, ratio = percentile_interval(cosines[1:]), percentile_interval(ratios[1:])
    limit = float(np.quantile(np.abs(null), CENTRAL))
    outcome, p_value = _decide(interval, ratio, limit), _p_value(cosines[0], null)
    if outcome is Outcome.SUPPORTED:
        # Of the opposite: that the cosine lies beyond the limit.
        p_value = float(norm.sf((limit - abs(cosines[0])) / cosines[1:].std()))
    because = (
        f"cos(ω_u, Δh) = {cosines[0]:.2f}, where {CENTRAL:.0%} of random directions with the activations' covariance stay "
        f"within ±{limit:.2f}, and utility changes by {ratios[0]:.2f} nats per nat of preference "
        f"[{ratio.low:.2f}, {ratio.high:.2f}], where ±{SMALL} is small."
    )
    if found.signal < LEAST_SIGNAL:
        outcome = Outcome.INCONCLUSIVE
        because = f"{found.signal:.0%} of ω_u's squared length is no noise, and {LEAST_SIGNAL:.0%} is needed. Measure more pairs."
    elif found.explained < LEAST_EXPLAINED:
        outcome = Outcome.INCONCLUSIVE
        because = (
            f"On pairs left out, activations remove {found.explained:.0%} of the error of predicting utility from length, "
            f"and {LEAST_EXPLAINED:.0%} is needed. Measure more pairs."
        )
    return Claim(
        claim=NAME,
        part=method,
        key=evidence.key,
        estimate=float(cosines[0]),
        unit="cosine",
        interval=interval,
        control="random directions with the activations' covariance; the effect on preference",
        outcome=outcome,
        because=because,
        p_value=p_value,
    )


def _decide(cosine: ConfidenceInterval, ratio: ConfidenceInterval, limit: float) -> Outcome:
    """What both agree on."""
    outcomes = {judge(cosine, (-limit, limit)), judge(ratio, (-SMALL, SMALL))}
    return outcomes.pop() if len(outcomes) == 1 else Outcome.INCONCLUSIVE
