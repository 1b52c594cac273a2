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
    lost = sweep.lost.mean(axis=1)
    ends = []
    for sign in (-1, 1):
        side = np.flatnonzero(sign * sweep.multipliers >= 0)
        side = side[np.argsort(np.abs(sweep.multipliers[side]))]
        beyond = np.flatnonzero(lost[side] > budget)
        if not len(beyond):
            ends.append(float(sweep.multipliers[side[-1]]))
            continue
        pair = side[beyond[0] - 1 : beyond[0] + 1]
        ends.append(float(np.interp(budget, lost[pair], sweep.multipliers[pair])))
    return ends[0], ends[1]
