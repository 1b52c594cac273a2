"""Utility follows β D(m) + b, without a projection gain, so that it peaks near m = 0 (arXiv 2602.02343, eq. 17)."""

import numpy as np

from mechsteer.curves import CurveFit, FitStatus, UtilityCurve
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, interval_p_value, judge

from ..evidence.evidence import Evidence
from .result import Result, undecided
from .rivals import TOLERANCE, UNITS, judge_curve, too_few_defined

NAME = "utility_curve"
ORDER = 100
THEME = "curves"
VERSION = 2
TITLES = {
    "adequate": "The paper's utility curve fits where steering is useful",
    "adequate, whole sweep": "The paper's utility curve fits over the whole sweep",
    "best of rivals": "The paper's utility curve predicts better than its rivals",
    "peak": "Utility peaks near zero",
}
FIGURE = "utility_curve"
BOUNDS = dict.fromkeys(("adequate", "adequate, whole sweep"), (TOLERANCE,))
SHIFT = "relative shift"
NEAR = 0.1
"""Relative shift ‖shift‖/‖h‖ within which a peak counts as near zero: less than changes an activation noticeably."""


def run(evidence: Evidence) -> Result:
    """Four claims: the curve is adequate, also over the whole sweep; it beats its rivals; measured utility peaks near zero."""
    sweep = evidence.sweep
    if because := too_few_defined(sweep.utility):
        units = UNITS | {"peak": SHIFT}
        return Result(tuple(undecided(NAME, part, evidence.key, unit, because) for part, unit in units.items()))
    found = judge_curve(
        NAME, "Eq. 17", UtilityCurve, sweep, evidence.slope_utility, key=evidence.key, seed=evidence.seed
    )
    return Result((*found.claims, _peak(found.fit, sweep)), {"rivals": found.rivals})


def _peak(fit: CurveFit, sweep: Sweep) -> Claim:
    if fit.status is FitStatus.NO_SIGNAL or not fit.properties:
        return undecided(NAME, "peak", sweep.key, SHIFT, fit.status.value)
    peak = fit.properties["peak"]
    halves = [fit.properties[f"half_lost_{side}"].estimate for side in ("negative", "positive")]
    found = np.array([peak.estimate, peak.interval.low, peak.interval.high, *halves], dtype=np.float64)
    estimate, low, high, *halves = (float(shift) for shift in sweep.signed_shift_at(found))
    interval, halves = ConfidenceInterval(low, high), [abs(half) for half in halves]
    because = (
        f"Measured utility peaks at m = {peak.estimate:.3g}, a relative shift of {estimate:+.2g} "
        f"[{interval.low:+.2g}, {interval.high:+.2g}]; within ±{NEAR} counts as near zero."
    )
    below, above = (f"{half:.2g}" if np.isfinite(half) else "beyond the sweep" for half in halves)
    control = f"the relative shifts at which half of all utility is lost: {below} for m < 0, {above} for m > 0"
    outcome = judge(interval, (-NEAR, NEAR))
    p = interval_p_value(interval, (-NEAR, NEAR), outcome)
    return Claim(NAME, "peak", sweep.key, estimate, SHIFT, interval, control, outcome, because, p)
