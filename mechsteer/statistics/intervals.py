"""Doubt in numbers: intervals from a bootstrap, and how well a prediction did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import bootstrap


@dataclass(frozen=True)
class ConfidenceInterval:
    """Where an estimate may lie, at a level of confidence; infinite on a side that the data leave open."""

    low: float
    high: float
    level: float = 0.95

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError(f"The interval begins at {self.low} and ends at {self.high}. Give its lower end first.")
        if not 0 < self.level < 1:
            raise ValueError(f"The level is {self.level}. Give a share between zero and one, such as 0.95.")

    def __contains__(self, value: float) -> bool:
        return bool(self.low <= value <= self.high)


def percentile_interval(estimates: Float[ndarray, " resamples"], level: float = 0.95) -> ConfidenceInterval:
    """The central share of resampled estimates; NaN when one of them is, or when there are none."""
    if not len(estimates):
        return ConfidenceInterval(np.nan, np.nan, level)
    # No interpolation: between a number and infinity lies nothing.
    low, high = np.quantile(estimates, [(1 - level) / 2, (1 + level) / 2], method="closest_observation")
    return ConfidenceInterval(float(low), float(high), level)


def bootstrap_interval(
    statistic: Callable[..., float],
    *samples: Float[ndarray, "..."],
    axes: Sequence[int] = (-1,),
    method: Literal["percentile", "BCa"] = "percentile",
    n_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> ConfidenceInterval:
    """Interval of `statistic(*samples)` when the units along `axes` are drawn again with replacement.

    All samples share their units: the last axis is the pairs, unless `axes` says otherwise. Several axes, as seeds and
    pairs, are drawn independently of each other (a crossed bootstrap); BCa is for one axis.
    """
    sizes = [samples[0].shape[axis] for axis in axes]
    if any(sample.shape[axis] != size for sample in samples for axis, size in zip(axes, sizes, strict=True)):
        shapes = ", ".join(str(sample.shape) for sample in samples)
        raise ValueError(f"The samples have shapes {shapes}. Pass samples with the same units along axes {axes}.")

    def of_units(*units: ndarray) -> float:
        drawn = samples
        for axis, unit in zip(axes, units, strict=True):
            drawn = [np.take(sample, unit, axis) for sample in drawn]
        return float(statistic(*drawn))

    rng = np.random.default_rng(seed)
    if method == "BCa":
        if len(axes) > 1:
            raise ValueError(f"BCa came with axes {axes}. Resample one axis, or use method='percentile'.")
        units = (np.arange(sizes[0]),)
        result = bootstrap(
            units, of_units, vectorized=False, n_resamples=n_resamples, confidence_level=level, method="BCa", rng=rng
        )
        low, high = result.confidence_interval
        return ConfidenceInterval(float(low), float(high), level)
    estimates = [of_units(*(rng.integers(size, size=size) for size in sizes)) for _ in range(n_resamples)]
    return percentile_interval(np.array(estimates), level)


def resampled_means(
    values: Float[ndarray, "m pairs"], n_resamples: int, seed: int = 0
) -> Float[ndarray, "resamples m"]:
    """Means over pairs drawn with replacement, the same pairs at every multiplier; none for a single pair."""
    n_pairs = values.shape[1]
    n_resamples = n_resamples if n_pairs > 1 else 0
    counts = np.random.default_rng(seed).multinomial(n_pairs, np.full(n_pairs, 1 / n_pairs), size=n_resamples)
    return counts @ values.T / n_pairs


def constancy_p_value(values: Float[ndarray, "m pairs"], n_resamples: int = 999, seed: int = 0) -> float:
    """How often a mean over pairs that is the same at every multiplier would change as much, by the luck of the pairs.

    Pairs that move in opposite directions leave a smooth mean that any curve fits; only their disagreement betrays it.
    NaN for a single pair.
    """
    if values.shape[1] < 2:
        return np.nan
    mean = values.mean(axis=1)
    luck = np.var(resampled_means(values, n_resamples, seed) - mean, axis=1)
    return float((1 + np.sum(luck >= np.var(mean))) / (1 + n_resamples))


def r_squared(
    values: Float[ndarray, " points"],
    predictions: Float[ndarray, " points"],
    reference: Float[ndarray, " points"] | None = None,
) -> float:
    """Share of the squared distance to `reference` (the mean, unless given) that the predictions remove.

    NaN where there is nothing to explain. On held-out points pass the reference that was known without them.
    """
    total = np.sum((values - (values.mean() if reference is None else reference)) ** 2)
    rounding = len(values) * (1e-12 * np.abs(values).max()) ** 2
    return float(1 - np.sum((values - predictions) ** 2) / total) if total > rounding else np.nan


def aicc(squared_error: float, n_points: int, n_parameters: int) -> float:
    """Akaike's criterion for least squares, corrected for few points; lower is better.

    The variance of the noise counts as one more parameter. Infinite when the points are too few to be corrected for,
    and minus infinity when nothing is left unexplained.
    """
    k = n_parameters + 1
    if n_points <= k + 1:
        return np.inf
    with np.errstate(divide="ignore"):
        fit = n_points * np.log(squared_error / n_points)
    return float(fit + 2 * k + 2 * k * (k + 1) / (n_points - k - 1))


def alternate_folds(n_points: int) -> Int[ndarray, " points"]:
    """Two folds, every other point in each; the ends of an odd number of points fall into fold zero."""
    return np.arange(n_points) % 2
