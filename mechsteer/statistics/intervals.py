"""Doubt in numbers: intervals from a bootstrap, and how well a prediction did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import bootstrap
from scipy.stats import t as student

N_RESAMPLES = 1000
"""For a 95 % interval: 25 lie beyond either end, so that the ends are known to a tenth of a standard error."""
N_BLOCKS = 6
"""Runs of neighbouring multipliers, each predicted from all others: both ends, and four gaps that are wider than interpolation
bridges and leave five sixths of the points to fit."""
LEAST_ERROR = 0.01
"""Of the largest standard error: what hardly differs between pairs must not rule a fit alone."""


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
    n_resamples: int = N_RESAMPLES,
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


@dataclass(frozen=True)
class SeedsEstimate:
    """A mean over training seeds, with what pairs and seeds leave open: Student's, for few seeds.

    Drawing two or three seeds again says too little of how far another one would lie: of two methods that gain as much, a
    bootstrap finds one better in a third of studies. So the seeds' scatter has as many degrees of freedom as Welch gives to so
    few. From one seed, the estimate is of that training alone.
    """

    estimate: float
    error: float
    freedom: float

    @classmethod
    def of(
        cls, by_seed: Float[ndarray, " seeds"], over_pairs: Float[ndarray, " resamples"], n_pairs: int
    ) -> "SeedsEstimate":
        """From each seed's estimate, and their mean with pairs drawn again; from a single pair, without any bound."""
        if n_pairs < 2:
            return cls(float(by_seed.mean()), float("inf"), 1.0)
        parts = [(float(np.var(over_pairs)), n_pairs - 1)]
        if (n := len(by_seed)) > 1:
            parts.append((float(np.var(by_seed, ddof=1)) / n, n - 1))
        total = sum(variance for variance, _ in parts)
        share = sum(variance**2 / freedom for variance, freedom in parts if freedom)
        return cls(float(by_seed.mean()), float(np.sqrt(total)), total**2 / share if share > 0 else 1.0)

    def interval(self, level: float = ConfidenceInterval.level) -> ConfidenceInterval:
        half = float(self.error * student.isf((1 - level) / 2, self.freedom))
        return ConfidenceInterval(self.estimate - half, self.estimate + half, level)

    @property
    def p_value(self) -> float:
        """Of no difference from zero, from both sides; NaN where nothing scatters."""
        return float(2 * student.sf(abs(self.estimate) / self.error, self.freedom)) if self.error > 0 else float("nan")


def wilson_interval(share: Float[ndarray, " k"], n: Int[ndarray, " k"]) -> Float[ndarray, "k 2"]:
    """Wilson's 95 % interval of a share of n, which has doubt where the share is none or all."""
    z = 1.96
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.stack([centre - half, centre + half], axis=1)


def resampled_means(
    values: Float[ndarray, "m pairs"], n_resamples: int, seed: int = 0
) -> Float[ndarray, "resamples m"]:
    """Means over pairs drawn with replacement, the same pairs at every multiplier; none for a single pair."""
    return _times_drawn(values.shape[1], n_resamples, seed) @ values.T / values.shape[1]


@lru_cache(maxsize=8)
def _times_drawn(n_pairs: int, n_resamples: int, seed: int) -> Int[ndarray, "resamples pairs"]:
    """How often each pair is drawn; kept, for many means are taken over the same draws."""
    n_resamples = n_resamples if n_pairs > 1 else 0
    times = np.random.default_rng(seed).multinomial(n_pairs, np.full(n_pairs, 1 / n_pairs), size=n_resamples)
    times.flags.writeable = False
    return times


def resampled_with(values: Float[ndarray, "m pairs"], n_resamples: int, seed: int = 0) -> Float[ndarray, "curves m"]:
    """The mean over all pairs, and those of `resampled_means` after it."""
    return np.concatenate([values.mean(axis=1)[None], resampled_means(values, n_resamples, seed)])


def resampled_squares(values: Float[ndarray, "m pairs"], n_resamples: int, seed: int = 0) -> Float[ndarray, " draws"]:
    """The squared length of the mean over all pairs, then over pairs drawn again, without what pairs' scatter adds to it: only
    products of two pairs are counted, so it may be less than nothing."""
    n_pairs = values.shape[1]
    times = np.concatenate([np.ones((1, n_pairs), np.int64), _times_drawn(n_pairs, n_resamples, seed)])
    of_one = times**2 @ np.square(values).sum(axis=0)
    return (np.square(times @ values.T).sum(axis=1) - of_one) / (n_pairs**2 - (times**2).sum(axis=1))


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


def standard_errors(values: Float[ndarray, "m pairs"]) -> Float[ndarray, " m"]:
    """Of the mean over pairs at each point, at least a hundredth of the largest; of a single pair, one everywhere."""
    n_pairs = values.shape[1]
    if n_pairs < 2:
        return np.ones(len(values))
    errors = values.std(axis=1, ddof=1) / np.sqrt(n_pairs)
    return np.maximum(errors, LEAST_ERROR * errors.max()) if errors.max() > 0 else np.ones(len(values))


def autocorrelation(residuals: Float[ndarray, " points"]) -> float:
    """Of neighbours; zero where nothing is left."""
    total = float(residuals @ residuals)
    return float(residuals[1:] @ residuals[:-1]) / total if total > 0 else 0.0


def aicc(residuals: Float[ndarray, " points"], n_parameters: int) -> float:
    """Akaike's criterion, corrected for few points, of residuals of which each depends on the one before; lower is better.

    A curve that misses misses at neighbours alike, so that they are not as many witnesses as they are points: the noise is a
    stationary autoregression of order one, whose variance and correlation count as two more parameters. Infinite when
    the points are too few to be corrected for, and minus infinity when nothing is left unexplained.
    """
    n_points, k = len(residuals), n_parameters + 2
    if n_points <= k + 1:
        return np.inf
    rho = np.clip(autocorrelation(residuals), -0.99, 0.99)
    surprises = np.sum((residuals[1:] - rho * residuals[:-1]) ** 2) + (1 - rho**2) * residuals[0] ** 2
    with np.errstate(divide="ignore"):
        fit = n_points * np.log(surprises / n_points) - np.log1p(-(rho**2))
    return float(fit + 2 * k + 2 * k * (k + 1) / (n_points - k - 1))


def contiguous_blocks(n_points: int) -> Int[ndarray, " points"]:
    """`N_BLOCKS` runs of neighbours, as even as can be; the first and the last are the ends."""
    return np.arange(n_points) * N_BLOCKS // max(n_points, 1)


def alternate_folds(n_points: int) -> Int[ndarray, " points"]:
    """Two folds, every other point in each; the ends of an odd number of points fall into fold zero."""
    return np.arange(n_points) % 2
