"""The frontier: how much preference a steer gains at an equal loss of utility, whatever the scale of its multiplier."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.interpolate import PchipInterpolator

from ..brief import brief
from ..errors import InputError
from ..statistics.intervals import ConfidenceInterval, percentile_interval
from .sweeps import Sweep

BUDGETS = (0.5, 1.0, 2.0, 4.0)
"""Losses of utility (nats) at which steers are compared."""
DENSE = 400
"""Points of the interpolated curve on each side of zero."""


@dataclass(frozen=True, eq=False)
class Frontier:
    """Preference gained (nats) at each budget of lost utility, mean of both directions of steering, and its area.

    `area` is the mean gain over all budgets from zero to the largest. The samples are bootstrap draws of pairs and
    seeds; two frontiers of the same pairs and bootstrap seed share their draws of pairs, so differences are paired.
    """

    budgets: tuple[float, ...]
    gained: Float[ndarray, " budgets"]
    area: float
    gained_samples: Float[ndarray, "resamples budgets"]
    area_samples: Float[ndarray, " resamples"]
    relative_shift: Float[ndarray, "sides budgets"]
    multiplier: Float[ndarray, "sides budgets"]
    """Where each budget's gain is reached, below and above zero; the mean over seeds."""
    n_seeds: int

    __repr__ = brief

    def interval(self, budget: float) -> ConfidenceInterval:
        """Of the gain at one budget."""
        return percentile_interval(self.gained_samples[:, self.budgets.index(budget)])

    @property
    def area_interval(self) -> ConfidenceInterval:
        return percentile_interval(self.area_samples)

    def area_difference(self, other: "Frontier") -> tuple[float, ConfidenceInterval]:
        """This area minus the other one, with an interval over pairs and seeds."""
        return self.area - other.area, percentile_interval(self.area_samples - other.area_samples)


def frontier(
    sweeps: Sequence[Sweep],
    *,
    budgets: Sequence[float] = BUDGETS,
    defined: Bool[ndarray, " pairs"] | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Frontier:
    """The frontier of one method and form, from its sweeps over the same pairs, one for each training seed.

    Curves are means over pairs, interpolated between multipliers (monotone cubic). Pairs whose utility is undefined
    somewhere are left out; pass `defined` to leave out the same ones in several
    frontiers. Intervals are a bootstrap crossed over pairs and seeds; from one seed, over pairs alone.
    """
    if not sweeps or any(sweep.pairs != sweeps[0].pairs for sweep in sweeps):
        raise InputError(
            "A frontier needs sweeps over the same pairs, at least one. Pass those of one method and form."
        )
    fine = np.linspace(0, max(budgets), 81)
    asked = np.concatenate([budgets, fine])
    defined = defined_everywhere(sweeps) if defined is None else defined
    if not defined.any():
        raise InputError("No pair has a defined utility at every multiplier. Sweep a narrower range.")
    n_pairs = int(defined.sum())
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n_pairs, np.full(n_pairs, 1 / n_pairs), size=n_resamples) / n_pairs
    weights = np.concatenate([np.full((1, n_pairs), 1 / n_pairs), counts])

    gains, where = [], []
    for sweep in sweeps:
        gain, multiplier = _gains(
            sweep.multipliers, weights @ sweep.preference[:, defined].T, weights @ sweep.utility[:, defined].T, asked
        )
        gains.append(gain)
        where.append(multiplier[:, 0])
    by_seed = np.stack(gains)
    drawn = np.random.default_rng([seed, 1]).integers(len(sweeps), size=(n_resamples, len(sweeps)))
    estimate = by_seed[:, 0].mean(axis=0)
    samples = by_seed[drawn, 1 + np.arange(n_resamples)[:, None]].mean(axis=1)
    n = len(budgets)
    multiplier = np.stack(where)[..., :n]
    shifts = [
        sweep.shift_at(reached.ravel()).reshape(reached.shape)
        for sweep, reached in zip(sweeps, multiplier, strict=True)
    ]
    return Frontier(
        budgets=tuple(budgets),
        gained=estimate[:n],
        area=float(np.trapezoid(estimate[n:], fine) / fine[-1]),
        gained_samples=samples[:, :n],
        area_samples=np.trapezoid(samples[:, n:], fine, axis=1) / fine[-1],
        relative_shift=np.mean(shifts, axis=0),
        multiplier=multiplier.mean(axis=0),
        n_seeds=len(sweeps),
    )


def defined_everywhere(sweeps: Sequence[Sweep]) -> Bool[ndarray, " pairs"]:
    """The pairs that have a utility at every multiplier of all sweeps."""
    return np.all([np.isfinite(sweep.utility).all(axis=0) for sweep in sweeps], axis=0)


def _gains(
    multipliers: Float[ndarray, " m"],
    preference: Float[ndarray, "curves m"],
    utility: Float[ndarray, "curves m"],
    budgets: Float[ndarray, " budgets"],
) -> tuple[Float[ndarray, "curves budgets"], Float[ndarray, "2 curves budgets"]]:
    """The largest gain within each budget, mean of both sides, and the multipliers of each side's."""
    if not (multipliers[0] < 0 < multipliers[-1] and 0 in multipliers):
        raise InputError("A frontier needs multipliers on both sides of zero, and zero itself.")
    gained, where = [], []
    for sign in (-1.0, 1.0):
        side = np.flatnonzero(sign * multipliers >= 0)
        side = side[np.argsort(np.abs(multipliers[side]))]
        sizes = np.abs(multipliers[side])
        dense = np.linspace(0, 1, DENSE) ** 2 * sizes[-1]
        gain = sign * PchipInterpolator(sizes, preference[:, side] - preference[:, side[:1]], axis=1)(dense)
        loss = PchipInterpolator(sizes, utility[:, side[:1]] - utility[:, side], axis=1)(dense)
        # Where utility only falls, this is the gain at the budget; utility that rises first costs nothing.
        best = [np.where(loss <= budget, gain, -np.inf).argmax(axis=1) for budget in budgets]
        gained.append(np.stack([np.take_along_axis(gain, at[:, None], 1)[:, 0] for at in best], axis=1))
        where.append(np.stack([sign * dense[at] for at in best], axis=1))
    return (gained[0] + gained[1]) / 2, np.stack(where)
