"""What a curve says, whatever its parameters: peak, half-validity, slope, near-linear region, convergence.

Infinity means that a property lies beyond the swept multipliers on that side; it is never extrapolated. NaN means that
there is no such number.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..statistics.intervals import ConfidenceInterval, percentile_interval
from .preference import PreferenceCurve
from .utility import UtilityCurve

SIDES = {"negative": -1.0, "positive": 1.0}
GRID = 2001
"""Points on each side of zero: what is read off a curve is exact to half a thousandth of that side."""
NEAR_LINEAR = 0.10
"""Largest departure from the tangent at zero, as a share of the curve's span over the sweep."""
CONVERGED_SLOPE = 0.05
"""Largest slope, as a share of the slope at zero."""


@dataclass(frozen=True)
class Property:
    """A property of a curve, its interval over pairs, and the share of resamples in which it lay beyond the sweep."""

    estimate: float
    interval: ConfidenceInterval
    beyond: float


def curve_properties(curve: PreferenceCurve | UtilityCurve, multipliers: Float[ndarray, " m"]) -> dict[str, float]:
    """Properties within the swept multipliers: `slope_at_zero` in nats per unit of multiplier, all others multipliers.

    - `peak`: where the curve is highest.
    - `half_validity_negative`, `_positive`: where D has fallen to one half.
    - `slope_at_zero`: the tangent's; where the printed variant jumps, the mean of both sides.
    - `near_linear_negative`, `_positive` (preference): how far from zero the curve stays close to that tangent, to
      within a tenth of the curve's span over the sweep.
    - `converges_negative`, `_positive` (preference): from where on its slope stays below a twentieth of that at zero.
    """
    first, last = float(multipliers[0]), float(multipliers[-1])
    ends = {"negative": first, "positive": last}
    swept = np.linspace(first, last, 2 * GRID - 1)
    heights = curve(swept)
    highest = int(heights.argmax())
    beyond = {0: -np.inf, len(swept) - 1: np.inf}

    found = {"peak": beyond.get(highest, float(swept[highest]))}
    for (side, sign), half in zip(SIDES.items(), curve.validity.half_multipliers(), strict=True):
        found[f"half_validity_{side}"] = half if sign * half <= sign * ends[side] else sign * np.inf
    has_zero = first <= 0 <= last
    at_zero = float(curve.slope(np.array([-np.finfo(float).tiny, 0.0])).mean()) if has_zero else np.nan
    found["slope_at_zero"] = at_zero
    if isinstance(curve, UtilityCurve):
        return found

    for side, sign in SIDES.items():
        outward = np.linspace(0, ends[side], GRID)
        tangent = curve(np.zeros(1)) + at_zero * outward
        departs = np.abs(curve(outward) - tangent) > NEAR_LINEAR * np.ptp(heights)
        within = outward[departs.argmax() - 1] if departs.any() else sign * np.inf
        found[f"near_linear_{side}"] = float(within) if has_zero else np.nan
        steep = np.flatnonzero(np.abs(curve.slope(outward)) > CONVERGED_SLOPE * abs(at_zero))
        last_steep = steep[-1] if len(steep) else 0
        flat_from = outward[last_steep + 1] if last_steep < GRID - 1 else sign * np.inf
        found[f"converges_{side}"] = float(flat_from) if has_zero else np.nan
    return found


def with_intervals(estimates: dict[str, float], resamples: list[dict[str, float]], level: float) -> dict[str, Property]:
    """Properties of a fit beside those of its resamples."""
    found = {}
    for name, estimate in estimates.items():
        values = np.array([resample[name] for resample in resamples])
        beyond = float(np.isinf(values).mean()) if len(values) else np.nan
        found[name] = Property(estimate, percentile_interval(values, level), beyond)
    return found
