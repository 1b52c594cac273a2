"""Preference follows (α m + β) D(m) + b, and has three regions: near-linear, transition, convergence.

ArXiv 2602.02343, eq. 15 with the decay of eq. 12. Nine parameters fit any smooth curve through a few dozen points in
sample, so the curve is judged on held-out multipliers, and against rivals with as many parameters.
"""

import numpy as np

from mechsteer.curves import CurveFit, FitStatus, PreferenceCurve
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome, interval_p_value, judge
from mechsteer.store.keys import Key

from ..evidence.evidence import Evidence
from .result import Result, undecided
from .rivals import TOLERANCE, UNITS, judge_curve, too_few_defined

NAME = "preference_curve"
ORDER = 90
THEME = "curves"
VERSION = 2
TITLES = {
    "adequate": "The paper's preference curve fits where steering is useful",
    "adequate, whole sweep": "The paper's preference curve fits over the whole sweep",
    "best of rivals": "The paper's preference curve predicts better than its rivals",
    "regions": "Preference grows, turns and levels off",
}
FIGURE = "preference_curve"
BOUNDS = dict.fromkeys(("adequate", "adequate, whole sweep"), (TOLERANCE,))
SIDE = "share of the swept side"


def run(evidence: Evidence) -> Result:
    """Four claims: the curve is adequate, also over the whole sweep; it beats its rivals; it has three regions on both sides."""
    sweep = evidence.sweep
    if because := too_few_defined(sweep.preference, sweep.utility):
        units = UNITS | {"regions": SIDE}
        return Result(tuple(undecided(NAME, part, evidence.key, unit, because) for part, unit in units.items()))
    found = judge_curve(
        NAME, "Eq. 15", PreferenceCurve, sweep, evidence.slope_preference, key=evidence.key, seed=evidence.seed
    )
    return Result((*found.claims, _three_regions(found.fit, sweep, evidence.key)), {"rivals": found.rivals})


def _three_regions(fit: CurveFit, sweep: Sweep, key: Key) -> Claim:
    """On both sides, measured convergence must begin within the sweep and after the near-linear region has ended."""
    if fit.status is FitStatus.NO_SIGNAL or not fit.properties:
        return undecided(NAME, "regions", key, SIDE, fit.status.value)
    sides = {}
    for side, end in (("negative", fit.multipliers[0]), ("positive", fit.multipliers[-1])):
        linear, converges = (fit.properties[f"{name}_{side}"] for name in ("near_linear", "converges"))
        shares = [value / end for value in (converges.interval.low, converges.interval.high)]
        sides[side] = (converges.estimate / end, min(shares), max(shares), linear.estimate, converges.estimate)
    side, (estimate, low, high, *_) = max(sides.items(), key=lambda item: item[1][0])
    interval = ConfidenceInterval(float(low), float(high))
    outcome = judge(interval, (0.0, 1.0))
    if outcome is Outcome.SUPPORTED and any(abs(ends[3]) >= abs(ends[4]) for ends in sides.values()):
        outcome = Outcome.INCONCLUSIVE
    leaves, levels = (
        f"{verb}s {what} at {_where(at, sweep)}" if np.isfinite(at) else f"does not {verb} {what} within the sweep"
        for verb, what, at in zip(("leave", "level"), ("its tangent", "off"), sides[side][3:5], strict=True)
    )
    because = f"On the {side} side, the worse of the two, preference {leaves} and {levels}."
    control = "a curve without convergence, whose slope stays above a twentieth of its steepest"
    p = interval_p_value(interval, (-np.inf, 1.0), outcome)
    return Claim(NAME, "regions", key, float(estimate), SIDE, interval, control, outcome, because, p)


def _where(multiplier: float, sweep: Sweep) -> str:
    """A region's end, in relative shift and in nats of utility lost."""
    lost = np.interp(multiplier, sweep.multipliers, sweep.lost.mean(axis=1))
    shift = sweep.shift_at(np.array([multiplier]))[0]
    return f"a relative shift of {shift:.2g} ({lost:.2g} nats of utility lost)"
