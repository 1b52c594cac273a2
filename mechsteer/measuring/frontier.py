"""The frontier: how much preference a steer gains at an equal loss of utility, whatever the scale of its multiplier."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.interpolate import PchipInterpolator, make_interp_spline

from ..brief import brief
from ..errors import InputError
from ..rooms import plot
from ..statistics.intervals import N_RESAMPLES, ConfidenceInterval, SeedsEstimate
from .sweeps import Sweep
from .useful import BUDGETS, USEFUL

TARGETS = (2.0, 4.0, 8.0)
"""Gains of preference (nats), of which is told what they cost."""
DENSE = 400
"""Points of the interpolated curve on each side of zero."""


@dataclass(frozen=True, eq=False)
class Frontier:
    """Preference gained (nats) at each budget of lost utility, mean of both directions of steering, and its area.

    `area` is the mean gain over all budgets of the useful range (`useful.py`). Two frontiers of the same pairs and bootstrap seed
    share their draws of pairs, and their training seeds belong together (initialisation, order of the pairs), so differences
    are paired by both. Sides are the negative and the positive direction.
    """

    budgets: tuple[float, ...]
    gained_by_seed: Float[ndarray, "seeds budgets"]
    area_by_seed: Float[ndarray, " seeds"]
    gained_samples: Float[ndarray, "resamples budgets"]
    """Means over seeds, with pairs drawn again."""
    area_samples: Float[ndarray, " resamples"]
    n_pairs: int
    gained_by_side: Float[ndarray, "sides budgets"]
    relative_shift: Float[ndarray, "sides budgets"]
    multiplier: Float[ndarray, "sides budgets"]
    """Where each budget's gain is reached, below and above zero; the mean over seeds."""
    is_open: Bool[ndarray, "sides budgets"]
    """Whether some seed never loses as much on that side, so that its gain may be larger beyond the sweep."""
    accuracy: Float[ndarray, "sides budgets"]
    """Share of all pairs of which the completion on that side is the likelier one there; the mean over seeds."""
    cost: Float[ndarray, "sides targets"]
    """Utility lost (nats) where a gain of `TARGETS` is first reached, the mean over seeds; infinite where one never is."""

    __repr__ = brief
    plot = plot

    @property
    def n_seeds(self) -> int:
        return len(self.area_by_seed)

    @property
    def gained(self) -> Float[ndarray, " budgets"]:
        return self.gained_by_seed.mean(axis=0)

    @property
    def area(self) -> float:
        return float(self.area_by_seed.mean())

    def interval(self, budget: float) -> ConfidenceInterval:
        """Of the gain at one budget, over pairs and seeds."""
        at = self.budgets.index(budget)
        return SeedsEstimate.of(self.gained_by_seed[:, at], self.gained_samples[:, at], self.n_pairs).interval()

    @property
    def area_interval(self) -> ConfidenceInterval:
        """Of the area, over pairs and seeds."""
        return SeedsEstimate.of(self.area_by_seed, self.area_samples, self.n_pairs).interval()

    def area_difference(self, other: "Frontier") -> SeedsEstimate:
        """This area minus the other one; what is not trained has one seed, which is set against each of the other's."""
        if 1 not in (self.n_seeds, other.n_seeds) and self.n_seeds != other.n_seeds:
            raise InputError(
                f"Training seeds are compared one by one, but {self.n_seeds} and {other.n_seeds} came. Pass as many of both."
            )
        by_seed = self.area_by_seed - other.area_by_seed
        return SeedsEstimate.of(by_seed, self.area_samples - other.area_samples, self.n_pairs)


def frontier(
    sweeps: Sequence[Sweep],
    *,
    budgets: Sequence[float] = BUDGETS,
    defined: Bool[ndarray, " pairs"] | None = None,
    is_guarded: bool = False,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Frontier:
    """The frontier of one method and form, from its sweeps over the same pairs, one for each training seed.

    Curves are means over pairs, interpolated between multipliers (monotone cubic). Pairs whose utility is undefined
    somewhere are left out; pass `defined` to leave out the same ones in several frontiers. Intervals are over pairs and
    seeds; from one seed, over pairs alone.

    Args:
        is_guarded: read curves as `useful_range` does, on lines between multipliers and only as far as the budget is first
            exceeded. What holds both ways hangs neither on a gap between multipliers nor on a dip of the loss beyond it.
    """
    if not sweeps or any(sweep.pairs != sweeps[0].pairs for sweep in sweeps):
        raise InputError(
            "A frontier needs sweeps over the same pairs, at least one. Pass those of one method and form."
        )
    fine = np.linspace(0, USEFUL, 81)
    asked = np.concatenate([budgets, fine])
    defined = defined_everywhere(sweeps) if defined is None else defined
    if not defined.any():
        raise InputError("No pair has a defined utility at every multiplier. Sweep a narrower range.")
    n_pairs = int(defined.sum())
    weights = pair_weights(n_pairs, n_resamples, seed)

    gains, where, opened, costs = [], [], [], []
    for sweep in sweeps:
        sides = [
            _Side.of(
                sign,
                sweep.multipliers,
                weights @ sweep.preference[:, defined].T,
                weights @ sweep.lost[:, defined].T,
                is_guarded,
            )
            for sign in (-1, 1)
        ]
        gains.append(np.stack([side.within(asked) for side in sides]))
        where.append(np.stack([side.reached(np.array(budgets)) for side in sides]))
        opened.append(np.stack([side.loss[0].max() <= np.array(budgets) for side in sides]))
        costs.append([side.cost(TARGETS) for side in sides])
    by_side = np.stack(gains)
    by_seed = by_side.mean(axis=1)
    n = len(budgets)
    multiplier = np.stack(where)
    shifts = [
        sweep.shift_at(reached.ravel()).reshape(reached.shape)
        for sweep, reached in zip(sweeps, multiplier, strict=True)
    ]
    accuracies = [
        np.stack([sweep.accuracy_at(side, sign) for side, sign in zip(reached, (-1, 1), strict=True)])
        for sweep, reached in zip(sweeps, multiplier, strict=True)
    ]
    areas = np.trapezoid(by_seed[..., n:], fine, axis=-1) / fine[-1]
    return Frontier(
        budgets=tuple(budgets),
        gained_by_seed=by_seed[:, 0, :n],
        area_by_seed=areas[:, 0],
        gained_samples=by_seed[:, 1:, :n].mean(axis=0),
        area_samples=areas[:, 1:].mean(axis=0),
        n_pairs=n_pairs,
        gained_by_side=by_side[:, :, 0, :n].mean(axis=0),
        relative_shift=np.mean(shifts, axis=0),
        multiplier=multiplier.mean(axis=0),
        is_open=np.any(opened, axis=0),
        accuracy=np.mean(accuracies, axis=0),
        cost=np.mean(costs, axis=0),
    )


def pair_weights(n_pairs: int, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Float[ndarray, "curves pairs"]:
    """By how much each pair counts in a mean: all alike, and then drawn again, the same draws for the same seed."""
    alike = np.full(n_pairs, 1 / n_pairs)
    counts = np.random.default_rng(seed).multinomial(n_pairs, alike, size=n_resamples)
    return np.concatenate([alike[None], counts / n_pairs])


def defined_everywhere(sweeps: Sequence[Sweep]) -> Bool[ndarray, " pairs"]:
    """The pairs that have a utility at every multiplier of all sweeps."""
    return np.all([np.isfinite(sweep.utility).all(axis=0) for sweep in sweeps], axis=0)


_on_lines = partial(make_interp_spline, k=1)


class _Side(NamedTuple):
    """One direction of steering, from zero outwards on a dense grid: what many curves have gained and lost."""

    multipliers: Float[ndarray, " dense"]
    gain: Float[ndarray, "curves dense"]
    loss: Float[ndarray, "curves dense"]

    @classmethod
    def of(
        cls, sign: int, multipliers: Float[ndarray, " m"], preference: Float[ndarray, "curves m"],
        lost: Float[ndarray, "curves m"], is_guarded: bool,
    ) -> "_Side":  # fmt: skip
        if not (multipliers[0] < 0 < multipliers[-1] and 0 in multipliers):
            raise InputError("A frontier needs multipliers on both sides of zero, and zero itself.")
        side = np.flatnonzero(sign * multipliers >= 0)
        side = side[np.argsort(np.abs(multipliers[side]))]
        sizes = np.abs(multipliers[side])
        dense = np.linspace(0, 1, DENSE) ** 2 * sizes[-1]
        between = _on_lines if is_guarded else PchipInterpolator
        gain, loss = (
            between(sizes, curves[:, side], axis=1)(dense)
            for curves in (sign * (preference - preference[:, side[:1]]), lost)
        )
        return cls(sign * dense, gain, np.maximum.accumulate(loss, axis=1) if is_guarded else loss)

    def within(self, budgets: Float[ndarray, " budgets"]) -> Float[ndarray, "curves budgets"]:
        """The largest gain within each budget. What raises utility first costs nothing."""
        order = np.argsort(budgets)
        # Each point counts for the smallest budget that it keeps to, and so for all larger ones.
        smallest = np.searchsorted(budgets[order], self.loss)
        best = np.full((len(self.gain), len(budgets) + 1), -np.inf)
        np.maximum.at(best, (np.arange(len(best))[:, None], smallest), self.gain)
        return np.maximum.accumulate(best, axis=1)[:, np.argsort(order)]

    def reached(self, budgets: Float[ndarray, " budgets"]) -> Float[ndarray, " budgets"]:
        """The multiplier at which the first curve, of all pairs, has its largest gain within each budget."""
        best = [np.where(self.loss[0] <= budget, self.gain[0], -np.inf).argmax() for budget in budgets]
        return self.multipliers[best]

    def cost(self, targets: Sequence[float]) -> Float[ndarray, " targets"]:
        """What the first curve, of all pairs, has lost where its gain first reaches each target."""
        reached = [self.gain[0] >= target for target in targets]
        return np.array([self.loss[0, at.argmax()] if at.any() else np.inf for at in reached])
