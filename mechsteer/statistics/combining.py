"""Estimates of several studies combined, groups within groups, with an interval that holds for few (Hartung and Knapp)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import t as student

from .intervals import ConfidenceInterval

LEAST = 0.1
"""Of a standard error, as a share of the median of those above zero, lest one that is nothing takes all the weight there is."""


@dataclass(frozen=True)
class Combined:
    """The mean of what studies estimate, where each is drawn from many that could have been done."""

    estimate: float
    error: float
    freedom: float
    """Degrees of freedom of its error: one fewer than the groups it is over; infinite for a single study."""
    spread: float
    """Standard deviation between groups beyond what their own errors explain, τ."""
    n_groups: int
    level: int
    """Which of the levels it is over: the first that has more than one group."""

    def interval(self, level: float = ConfidenceInterval.level) -> ConfidenceInterval:
        half = float(self.error * student.isf((1 - level) / 2, self.freedom))
        return ConfidenceInterval(self.estimate - half, self.estimate + half, level)


def combine(values: Sequence[float], errors: Sequence[float], levels: Sequence[Sequence[object]]) -> Combined:
    """Combine estimates whose standard errors are known; `levels` say which group each is in, the widest grouping first.

    Groups are combined from within: first the studies of a concept, then the concepts of a model, then models, each of
    which counts as one witness. How much the members of a group scatter is taken to be alike in all groups of a level. So an
    interval over models is Student's on as many models as there are, however many concepts were tried of each. A level with
    a single group says nothing of how groups differ, and is passed over.
    """
    y = np.asarray(values, dtype=np.float64)
    known = np.asarray(errors, dtype=np.float64)
    least = LEAST * np.median(known[known > 0]) if (known > 0).any() else 1e-100
    variance = np.maximum(known, least) ** 2
    if len(y) == 1:
        return Combined(float(y[0]), float(np.sqrt(variance[0])), np.inf, 0.0, 1, len(levels))
    places = list(zip(*levels, range(len(y)), strict=True))
    over = next(number for number in range(len(levels) + 1) if len({place[number] for place in places}) > 1)
    for depth in range(len(levels), over, -1):
        groups: dict[tuple, list[int]] = {}
        for index, place in enumerate(places):
            groups.setdefault(place[:depth], []).append(index)
        members = [(y[at], variance[at]) for at in groups.values()]
        between = between_variance(members)
        weights = [1 / (doubt + between) for _, doubt in members]
        y = np.array([float(w @ means / w.sum()) for w, (means, _) in zip(weights, members, strict=True)])
        variance, places = np.array([1 / w.sum() for w in weights]), list(groups)
    # Random effects; the error is Hartung and Knapp's, and never smaller than without it: otherwise a few that happen to agree
    # claim more than each of them knows (Röver, Knapp and Friede 2015).
    between = between_variance([(y, variance)])
    weight = 1 / (variance + between)
    mean = float(weight @ y / weight.sum())
    scatter = float(weight @ (y - mean) ** 2 / (len(y) - 1))
    error = float(np.sqrt(max(scatter, 1.0) / weight.sum()))
    return Combined(mean, error, len(y) - 1, float(np.sqrt(between)), len(y), over)


def between_variance(groups: Sequence[tuple[Float[ndarray, " _"], Float[ndarray, " _"]]]) -> float:
    """τ² by restricted maximum likelihood: of members' means, whose variances are known, around the mean of their group."""
    many = [(y[:, None], variance[:, None]) for y, variance in groups if len(y) > 1]

    def minus_log_likelihood(between: Float[ndarray, " grid"]) -> Float[ndarray, " grid"]:
        total = np.zeros(len(between))
        for y, variance in many:
            weights = 1 / (variance + between)
            mean = (weights * y).sum(axis=0) / weights.sum(axis=0)
            squares = (weights * (y - mean) ** 2).sum(axis=0)
            total += (np.log(variance + between).sum(axis=0) + np.log(weights.sum(axis=0)) + squares) / 2
        return total

    most = max((float(np.ptp(y)) ** 2 for y, _ in many), default=0.0)
    if most == 0:
        return 0.0
    # By ever finer grids: the likelihood may have two peaks, and zero is one of its ends.
    grid = np.concatenate([[0.0], most * np.geomspace(1e-8, 1, 65)])
    for _ in range(8):
        best = int(np.argmin(minus_log_likelihood(grid)))
        grid = np.linspace(grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)], 33)
    return float(grid[int(np.argmin(minus_log_likelihood(grid)))])
