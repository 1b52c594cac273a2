"""Utility follows β D(m) + b, without a projection gain, so that it peaks near m = 0 (arXiv 2602.02343, eq. 17)."""

from mechsteer.curves import CurveFit, UtilityCurve
from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, judge

from ..evidence.evidence import Evidence
from .result import Result, undecided
from .rivals import compare, too_few_defined

NAME = "utility_curve"
RIVALS, PEAK = f"{NAME}: rivals", f"{NAME}: peak"
SHIFT = "relative shift"
NEAR = 0.1
"""Relative shift ‖mΔh‖/‖h‖ within which a peak lies near zero: less than what changes an activation noticeably."""


def run(evidence: Evidence) -> Result:
    """Two claims: the curve beats its rivals, and its peak lies near zero."""
    sweep = evidence.sweep
    if because := too_few_defined(sweep.utility):
        units = {RIVALS: "nats", PEAK: SHIFT}
        return Result(tuple(undecided(name, evidence.subject, unit, because) for name, unit in units.items()))
    fit, claim, table = compare(
        RIVALS, "Eq. 17", UtilityCurve, sweep.multipliers, sweep.utility, subject=evidence.subject, seed=evidence.seed
    )
    per_unit = float(sweep.relative_shift[-1].mean() / abs(sweep.multipliers[-1]))
    return Result((claim, _peak(fit, per_unit, evidence.subject)), {"rivals": table})


def _peak(fit: CurveFit, per_unit: float, subject: str) -> Claim:
    if not fit.ok:
        return undecided(PEAK, subject, SHIFT, fit.status.value)
    peak = fit.properties["peak"]
    interval = ConfidenceInterval(peak.interval.low * per_unit, peak.interval.high * per_unit)
    halves = [abs(fit.properties[f"half_validity_{side}"].estimate) * per_unit for side in ("negative", "positive")]
    because = (
        f"Utility is highest at m = {peak.estimate:.3g}, a relative shift of {peak.estimate * per_unit:+.2g} "
        f"[{interval.low:+.2g}, {interval.high:+.2g}]; near zero means within {NEAR}."
    )
    control = f"the relative shifts at which validity has halved, {halves[0]:.2g} below zero and {halves[1]:.2g} above"
    outcome = judge(interval, (-NEAR, NEAR))
    return Claim(PEAK, subject, peak.estimate * per_unit, SHIFT, interval, control, outcome, because)
