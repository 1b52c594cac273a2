"""What a curve says, whatever its parameters: slope, peak, where utility is lost, near-linear region, convergence.

They are measured on the means over pairs, between multipliers by a monotone cubic. A fitted curve has the same ones, which
stand beside those that were measured only where they agree.

Infinity means that a property lies beyond the swept multipliers on that side; it is never extrapolated. NaN means that
there is no such number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.interpolate import PchipInterpolator

from ..measuring.useful import USEFUL
from ..statistics.intervals import ConfidenceInterval, percentile_interval

SIDES = {"negative": -1.0, "positive": 1.0}
GRID = 2001
"""Points on each side of zero: what is read off a curve is exact to half a thousandth of that side."""
NEAR_LINEAR = 0.10
"""Largest departure from the tangent at zero, as a share of the curve's span over the sweep."""
CONVERGED_SLOPE = 0.05
"""Largest slope, as a share of the steepest."""


@runtime_checkable
class Shape(Protocol):
    """A curve that was fitted or measured."""

    def __call__(self, multipliers: Float[ndarray, " m"], /) -> Float[ndarray, " m"]: ...

    def slope(self, multipliers: Float[ndarray, " m"], /) -> Float[ndarray, " m"]: ...


class Measured:
    """Means over pairs as a curve: a monotone cubic between multipliers, whose slope at zero is told by its neighbours."""

    def __init__(
        self, multipliers: Float[ndarray, " m"], means: Float[ndarray, " m"], slope_at_zero: float | None = None
    ):
        """`slope_at_zero` is the derivative there where it is known, in nats per unit of multiplier."""
        self._at = PchipInterpolator(multipliers, means)
        self._slope = self._at.derivative()
        self._at_zero = float(local_slope(multipliers) @ means) if slope_at_zero is None else slope_at_zero

    def __call__(self, multipliers: Float[ndarray, " m"]) -> Float[ndarray, " m"]:
        """Nats."""
        return self._at(multipliers)

    def slope(self, multipliers: Float[ndarray, " m"]) -> Float[ndarray, " m"]:
        """Nats per unit of multiplier."""
        return np.where(np.abs(multipliers) <= np.finfo(float).tiny, self._at_zero, self._slope(multipliers))


def local_slope(multipliers: Float[ndarray, " m"]) -> Float[ndarray, " m"]:
    """Weights of the points by which a parabola through zero's neighbours says the slope there; NaN where zero has none."""
    weights, at = np.zeros(len(multipliers)), int(np.argmin(np.abs(multipliers)))
    if not 0 < at < len(multipliers) - 1 or multipliers[at] != 0:
        return np.full(len(multipliers), np.nan)
    below, above = -multipliers[at - 1], multipliers[at + 1]
    weights[at - 1 : at + 2] = -above / below, (above**2 - below**2) / (below * above), below / above
    return weights / (below + above)


@dataclass(frozen=True)
class Property:
    """A property of a curve, its interval over pairs, and the share of resamples in which it lay beyond the sweep."""

    estimate: float
    interval: ConfidenceInterval
    beyond: float

    def agrees(self, other: "Property") -> bool:
        """Whether either estimate lies within the other's interval."""
        return self.estimate in other.interval or other.estimate in self.interval


def curve_properties(curve: Shape, multipliers: Float[ndarray, " m"], quantity: str) -> dict[str, float]:
    """Properties within the swept multipliers: `slope_at_zero` in nats per unit of multiplier, all others multipliers.

    - `slope_at_zero`: the tangent's; where the printed variant jumps, the mean of both sides.
    - `peak`: where the curve is highest.
    - `half_nat_negative`, `_positive` (utility): where half a nat is lost, the ends of the useful range.
    - `half_lost_negative`, `_positive` (utility): where half of all that is lost on that side is lost.
    - `near_linear_negative`, `_positive` (preference): how far from zero the curve stays close to that tangent, to
      within a tenth of the curve's span over the sweep.
    - `converges_negative`, `_positive` (preference): from where on its slope stays below a twentieth of the steepest.
    """
    first, last = float(multipliers[0]), float(multipliers[-1])
    ends, has_zero = {"negative": first, "positive": last}, first <= 0 <= last
    swept = np.linspace(first, last, 2 * GRID - 1)
    heights = curve(swept)
    highest = int(heights.argmax())
    at_zero = float(curve.slope(np.array([-np.finfo(float).tiny, 0.0])).mean()) if has_zero else np.nan
    found = {
        "slope_at_zero": at_zero,
        "peak": {0: -np.inf, len(swept) - 1: np.inf}.get(highest, float(swept[highest])),
    }
    steepest = np.abs(curve.slope(swept)).max()
    for side, sign in SIDES.items():
        outward = np.linspace(0, ends[side], GRID)
        values = curve(outward)
        if quantity == "utility":
            half_of_all = (heights.max() - values.min()) / 2
            found[f"half_nat_{side}"] = _first(values <= values[0] - USEFUL, outward, sign)
            found[f"half_lost_{side}"] = _first(values <= heights.max() - half_of_all, outward, sign)
        else:
            departs = np.abs(values - values[0] - at_zero * outward) > NEAR_LINEAR * np.ptp(heights)
            found[f"near_linear_{side}"] = _first(departs, outward, sign)
            steep = np.flatnonzero(np.abs(curve.slope(outward)) > CONVERGED_SLOPE * steepest)
            found[f"converges_{side}"] = _first(np.arange(GRID) > steep.max(initial=-1), outward, sign)
    return found if has_zero else {name: value if name == "peak" else np.nan for name, value in found.items()}


def _first(where: ndarray, outward: Float[ndarray, " grid"], sign: float) -> float:
    return float(outward[where.argmax()]) if where.any() else sign * np.inf


def with_intervals(
    estimates: dict[str, float], resamples: Sequence[dict[str, float]], level: float
) -> dict[str, Property]:
    """Properties beside those of their resamples."""
    found = {}
    for name, estimate in estimates.items():
        values = np.array([resample[name] for resample in resamples])
        beyond = float(np.isinf(values).mean()) if len(values) else np.nan
        found[name] = Property(estimate, percentile_interval(values, level), beyond)
    return found
