"""Utility follows β D(m) + b, without a projection gain, so that it peaks near m = 0 (arXiv 2602.02343, eq. 17)."""

import numpy as np

from mechsteer.curves import CurveFit, UtilityCurve
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, judge

from ..evidence.evidence import Evidence
from .result import Result, undecided
from .rivals import compare, too_few_defined

NAME = "utility_curve"
ORDER = 100
TITLES = {
    "rivals": "The paper's utility curve predicts better than its rivals",
    "peak": "Utility peaks near zero",
}
FIGURE = "utility_curve"
SHIFT = "relative shift"
NEAR = 0.1
"""Relative shift ‖shift‖/‖h‖ within which a peak lies near zero: less than what changes an activation noticeably."""


def run(evidence: Evidence) -> Result:
    """Two claims: the curve beats its rivals, and its peak lies near zero."""
    sweep = evidence.sweep
    if because := too_few_defined(sweep.utility):
        units = {"rivals": "nats", "peak": SHIFT}
        return Result(tuple(undecided(NAME, part, evidence.key, unit, because) for part, unit in units.items()))
    fit, claim, table = compare(
        NAME, "rivals", "Eq. 17", UtilityCurve, sweep.multipliers, sweep.utility, key=evidence.key, seed=evidence.seed
    )
    return Result((claim, _peak(fit, sweep)), {"rivals": table})


def _peak(fit: CurveFit, sweep: Sweep) -> Claim:
    if not fit.ok:
        return undecided(NAME, "peak", sweep.key, SHIFT, fit.status.value)
    peak = fit.properties["peak"]
    halves = [fit.properties[f"half_validity_{side}"].estimate for side in ("negative", "positive")]
    found = np.array([peak.estimate, peak.interval.low, peak.interval.high, *halves], dtype=np.float64)
    estimate, low, high, *halves = (float(shift) for shift in sweep.signed_shift_at(found))
    interval, halves = ConfidenceInterval(low, high), [abs(half) for half in halves]
    because = (
        f"Utility is highest at m = {peak.estimate:.3g}, a relative shift of {estimate:+.2g} "
        f"[{interval.low:+.2g}, {interval.high:+.2g}]; near zero means within {NEAR}."
    )
    control = f"the relative shifts at which validity has halved, {halves[0]:.2g} below zero and {halves[1]:.2g} above"
    outcome = judge(interval, (-NEAR, NEAR))
    return Claim(NAME, "peak", sweep.key, estimate, SHIFT, interval, control, outcome, because)
