"""Two ranges of multipliers: what log-odds call useful, and where the exact checker finds answers about as valid as unsteered.

Shares of valid answers are taken to fall away from m = 0 on both sides (as validity does in arXiv 2602.02343, assumption 4.2), so
that one unlucky sample does not end the range. Either range may go on beyond what was measured; then their ratio is only known
to be at least, or at most, so large.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped
from numpy import ndarray

from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import USEFUL, exceeded
from mechsteer.statistics.intervals import ConfidenceInterval, percentile_interval, resampled_with

SIDES = {"negative": -1, "positive": 1}


@dataclass(frozen=True, eq=False)
class Ends:
    """How far a range goes on each side, the first of all pairs or answers and others of those drawn again; infinite where
    it goes on beyond the last multiplier."""

    found: Float[ndarray, "2 draws"]
    last: Float[ndarray, "2"]

    @property
    def at_least(self) -> Float[ndarray, "2 draws"]:
        return np.minimum(self.found, self.last[:, None])

    def first(self, n: int) -> "Ends":
        """Of so many draws alone."""
        return Ends(self.found[:, :n], self.last)

    def rows(self, name: str) -> dict[str, list[float]]:
        """Of the table, by side; an end beyond what was measured is missing."""
        intervals = [percentile_interval(draws[1:]) for draws in self.found]
        columns = {
            name: self.found[:, 0],
            f"{name}_low": [interval.low for interval in intervals],
            f"{name}_high": [interval.high for interval in intervals],
        }
        return {column: np.where(np.isfinite(values), values, np.nan).tolist() for column, values in columns.items()}


def useful_ends(sweep: Sweep, n_resamples: int, seed: int) -> Ends:
    """By log-odds, with pairs drawn again."""
    lost = resampled_with(sweep.lost, n_resamples, seed)
    return _ends(sweep.multipliers, lost, np.full(len(lost), USEFUL))


def valid_ends(
    multipliers: Float[ndarray, " k"], valid: Float[ndarray, " k"], n: Int[ndarray, " k"], margin: float, n_resamples: int,
    seed: int,
) -> Ends:  # fmt: skip
    """By the checker: up to where the share is by `margin` below that at m = 0."""
    # What the share may be, given so many answers (Jeffreys): of shares of none and all a binomial would have no doubt.
    drawn = np.random.default_rng(seed).beta(valid * n + 0.5, (1 - valid) * n + 0.5, size=(n_resamples, len(n)))
    return falling_ends(multipliers, np.concatenate([valid[None], drawn]), n, margin)


def falling_ends(
    multipliers: Float[ndarray, " k"], shares: Float[ndarray, "draws k"], weights: Shaped[ndarray, " k"], margin: float
) -> Ends:
    """Up to where a share that is taken to fall away from zero is by `margin` below that at m = 0."""
    shares, least = shares.copy(), shares[:, multipliers == 0][:, 0] - margin
    for sign in SIDES.values():
        side = np.flatnonzero(sign * multipliers > 0)
        side = side[np.argsort(np.abs(multipliers[side]))]
        shares[:, side] = falling(shares[:, side], weights[side])
    return _ends(multipliers, -shares, -least)


def falling(values: Float[ndarray, "draws k"], n: Shaped[ndarray, " k"]) -> Float[ndarray, "draws k"]:
    """Isotonic regression of every row onto what never rises: the least, over where a stretch may begin, of the greatest mean
    of one that reaches as far as here or farther (the min-max formula, Barlow et al. 1972)."""
    # All rows at once: SciPy's isotonic_regression takes one.
    sums, weight = (np.cumsum(part, axis=-1) for part in (values * n, n))
    found = np.full_like(values, np.inf)
    for begin in range(len(n)):
        before, counted = (sums[:, [begin - 1]], weight[begin - 1]) if begin else (0.0, 0)
        means = (sums[:, begin:] - before) / (weight[begin:] - counted)
        greatest = np.maximum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
        found[:, begin:] = np.minimum(found[:, begin:], greatest)
    return found


def _ends(
    multipliers: Float[ndarray, " m"], curves: Float[ndarray, "draws m"], limit: Float[ndarray, " draws"]
) -> Ends:
    found = [np.abs(exceeded(multipliers, curves, limit, sign)) for sign in SIDES.values()]
    return Ends(np.array(found), np.abs([multipliers.min(), multipliers.max()]))


@dataclass(frozen=True, eq=False)
class Ratio:
    """How many times as wide one range is as the other, the geometric mean of both sides: at least, and at most."""

    low: Float[ndarray, " draws"]
    high: Float[ndarray, " draws"]

    @classmethod
    def of(cls, promised: Ends, checked: Ends) -> "Ratio":
        with np.errstate(divide="ignore"):
            low, high = promised.at_least / checked.found, promised.found / checked.at_least
        return cls(*(np.sqrt(sides.prod(axis=0)) for sides in (low, high)))

    @property
    def interval(self) -> ConfidenceInterval:
        low, high = (percentile_interval(draws[1:]) for draws in (self.low, self.high))
        return ConfidenceInterval(low.low, high.high)

    @property
    def estimate(self) -> float:
        """Where one of the ranges is open, the end that is known."""
        return float(self.low[0] if np.isinf(self.high[0]) else self.high[0] if self.low[0] == 0 else self.low[0])


def table(promised: Ends, checked: Ends) -> pd.DataFrame:
    """A row for each side, in multipliers away from zero."""
    return pd.DataFrame({"side": list(SIDES)} | promised.rows("useful") | checked.rows("valid"))
