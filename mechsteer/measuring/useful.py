"""Useful: as far as a steer costs little. Defined once, and used wherever steers are judged or compared.

Utility is lost by the probability that the two texts of a pair have together: log(exp(-L_p) + exp(-L_n)), in nats below that at
m = 0. For free text, where that probability is tiny, it is the drop of utility itself (arXiv 2602.02343, eq. 8); for
two-option pairs, where nearly all of it lies on two short answers, it is what leaves them.
"""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from .sweeps import Sweep

USEFUL = 0.5
"""Nats of utility lost per pair, up to which a steer is useful: at one nat a third of the guestbook's answers are invalid."""
BUDGETS = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Losses (nats) at which results are told beside it."""


def is_useful(sweep: Sweep) -> Bool[ndarray, " m"]:
    """Whether each multiplier lies within the useful range."""
    return useful_points(sweep.lost.mean(axis=1)[None], sweep.zero)[0]


def useful_points(lost: Float[ndarray, "curves m"], zero: int) -> Bool[ndarray, "curves m"]:
    """The same for many curves of mean loss, each in its own range."""
    within = lost <= USEFUL
    below = np.logical_and.accumulate(within[:, zero::-1], axis=1)[:, :0:-1]
    return np.concatenate([below, np.logical_and.accumulate(within[:, zero:], axis=1)], axis=1)


def useful_range(sweep: Sweep, budget: float = USEFUL) -> tuple[float, float]:
    """The multipliers around zero within which the mean over pairs loses at most so much, between multipliers on a line."""
    lost, m = sweep.lost.mean(axis=1)[None], sweep.multipliers
    low, high = (float(exceeded(m, lost, np.array([budget]), sign)[0]) for sign in (-1, 1))
    return max(low, float(m.min())), min(high, float(m.max()))


def exceeded(
    multipliers: Float[ndarray, " m"], curves: Float[ndarray, "curves m"], limit: Float[ndarray, " curves"], sign: int
) -> Float[ndarray, " curves"]:
    """Where each curve first exceeds its limit, going from zero in the direction of `sign`, between multipliers on a line;
    infinite where it never does."""
    side = np.flatnonzero(sign * multipliers >= 0)
    side = side[np.argsort(np.abs(multipliers[side]))]
    m, rows = multipliers[side], np.arange(len(curves))
    values = curves[:, side] - limit[:, None]
    first = np.argmax(values > 0, axis=1)
    before = np.maximum(first - 1, 0)
    below, above = values[rows, before], values[rows, first]
    share = np.divide(-below, above - below, out=np.zeros(len(curves)), where=above > below)
    found = m[before] + np.clip(share, 0, 1) * (m[first] - m[before])
    return np.where((values > 0).any(axis=1), found, sign * np.inf)
