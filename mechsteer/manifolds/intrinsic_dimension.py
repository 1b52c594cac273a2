"""Intrinsic dimension: how many directions activations can move in without leaving their manifold.

Estimates from nearest neighbours depend on the scale at which the points lie, which more neighbours or fewer points kept
make coarser: noise that is wider than the gaps between points counts as dimensions, and from ten or so dimensions on
every sample is too sparse and the estimates are low. The intervals are over the luck of the points; they know nothing
of that bias.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import t

from ..errors import InputError
from ..statistics.intervals import ConfidenceInterval
from .sample import Sample
from .stream import Points


@dataclass(frozen=True)
class IntrinsicDimension:
    """An estimate, and its interval over the luck of the points, or of the groups in which they come."""

    estimate: float
    interval: ConfidenceInterval


Estimator = Callable[..., IntrinsicDimension]
"""Of a sample, at a `level` of confidence."""


def intrinsic_dimensions(
    activations: Points,
    *,
    estimators: Mapping[str, Estimator] | None = None,
    n_kept: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, IntrinsicDimension]:
    """By these estimators, unless given by every one, from one sample of the distinct points, which are independent of each
    other."""
    sample = Sample.of(activations, n_kept, seed)
    every = {estimator.__name__: estimator for estimator in (two_nn, maximum_likelihood, participation_ratio)}
    return {name: estimator(sample, level=level) for name, estimator in (estimators or every).items()}


def grouped_dimensions(
    points: Float[ndarray, "points d"],
    groups: Int[ndarray, " points"],
    *,
    estimators: Mapping[str, Estimator] | None = None,
    n_splits: int = 50,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, IntrinsicDimension]:
    """The same where only the groups of points are independent, as pairs are and their tokens are not.

    The groups are divided into halves, again and again. Two halves are independent and equally dense, and each has
    twice the variance of the whole, so the square of their difference is four times that variance. Groups drawn with
    replacement would not do, for a point drawn twice is its own nearest.
    """
    distinct, group = np.unique(groups, return_inverse=True)
    n_groups = len(distinct)
    if n_groups < 2:
        raise InputError(
            f"Points of {n_groups} group came. Pass points of at least two; dozens say how sure one may be."
        )
    whole = intrinsic_dimensions(points, estimators=estimators, n_kept=len(points), level=level)
    rng, squares = np.random.default_rng(seed), []
    for _ in range(n_splits):
        is_first = (rng.permutation(n_groups) < n_groups // 2)[group]
        first, second = (
            intrinsic_dimensions(points[half], estimators=estimators, n_kept=len(points))
            for half in (is_first, ~is_first)
        )
        squares.append([np.log(first[name].estimate / second[name].estimate) ** 2 for name in whole])
    deviations = np.sqrt(np.mean(squares, axis=0)) / 2
    return {
        name: _with_interval(found.estimate, deviation, level, n_groups - 1)
        for (name, found), deviation in zip(whole.items(), deviations, strict=True)
    }


def two_nn(sample: Sample, *, discard: float = 0.1, level: float = 0.95) -> IntrinsicDimension:
    """From the ratio of the distances to the two nearest points, at the finest scale (Facco et al. 2017).

    The largest ratios, which the theory fits worst, are known only to be large: a censored likelihood stands in for
    the paper's line through the rest, and uses the same points.
    """
    return _from_neighbours(sample, 2, discard, level)


def maximum_likelihood(sample: Sample, *, n_neighbours: int = 5, level: float = 0.95) -> IntrinsicDimension:
    """From the distances to more neighbours (Levina and Bickel 2004), inverses averaged (MacKay and Ghahramani 2005).

    More neighbours narrow the interval, but edges and curvature bias the estimate the more.
    """
    return _from_neighbours(sample, n_neighbours, 0.0, level)


def participation_ratio(sample: Sample, *, level: float = 0.95) -> IntrinsicDimension:
    """(Σλ)² / Σλ² over the principal variances: the number of directions that a linear view needs.

    A curved manifold needs more than it has dimensions, and one massive coordinate makes it one. The interval is the
    jackknife's.
    """
    points = sample.points - sample.points.mean(axis=0, dtype=np.float64)
    n = len(points)
    scatter = points.T @ points
    total, square = np.trace(scatter), np.sum(scatter**2)
    # Without a point, the scatter loses its outer product, and a little more because the mean moves.
    sizes = n / (n - 1) * np.sum(points**2, axis=1)
    stretches = n / (n - 1) * np.sum((points @ scatter) * points, axis=1)
    without = (total - sizes) ** 2 / (square - 2 * stretches + sizes**2)
    deviation = np.sqrt((n - 1) ** 2 / n * np.var(np.log(without), ddof=1))
    return _with_interval(total**2 / square, deviation, level)


def _from_neighbours(sample: Sample, k: int, discard: float, level: float) -> IntrinsicDimension:
    """Σ_j<k log T_k/T_j at each point is Gamma(k - 1) over the dimension, where the density is even.

    Its deviations from that are correlated where neighbourhoods overlap. Their covariances are counted by the share of
    the neighbourhood that two points have in common, which is a sum of squares (as Bartlett's for time series). A
    bootstrap would not do, for points drawn twice are each other's nearest; nor would the likelihood's own interval,
    which takes points for independent.
    """
    distances, neighbours = sample.nearest(k)
    logs = np.log(distances)
    spread = (k - 1) * logs[:, -1] - logs[:, :-1].sum(axis=1)
    limit = np.quantile(spread, 1 - discard)
    counted, summed = (k - 1) * (spread <= limit), np.minimum(spread, limit)
    estimate = counted.sum() / summed.sum()
    score = counted / estimate - summed
    around = score + np.bincount(neighbours.ravel(), np.repeat(score, k), minlength=len(score))
    deviation = np.sqrt(np.sum(around**2) / (k + 1)) / summed.sum()
    return _with_interval(estimate, deviation, level)


def _with_interval(estimate: float, deviation: float, level: float, freedom: float = np.inf) -> IntrinsicDimension:
    """Student's, or normal, on the logarithmic scale, where `deviation` is the standard error."""
    estimate, factor = float(estimate), float(np.exp(t.ppf((1 + level) / 2, freedom) * deviation))
    return IntrinsicDimension(estimate, ConfidenceInterval(estimate / factor, estimate * factor, level))
