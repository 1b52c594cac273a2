"""Preference follows (α m + β) D(m) + b, and has three regions: near-linear, transition, convergence.

ArXiv 2602.02343, eq. 15 with the decay of eq. 12. Nine parameters on a few dozen points explain any smooth curve in
sample, so the curve is judged on multipliers that it has not seen, and against rivals with as many parameters.
"""

import numpy as np

from mechsteer.curves import CurveFit, PreferenceCurve
from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome, judge
from mechsteer.store.keys import Key

from ..evidence.evidence import Evidence
from .result import Result, undecided
from .rivals import compare, too_few_defined

NAME = "preference_curve"
ORDER = 90
TITLES = {
    "rivals": "The paper's preference curve predicts better than its rivals",
    "regions": "Preference grows, turns and levels off",
}
FIGURE = "preference_curve"
SIDE = "share of the swept side"


def run(evidence: Evidence) -> Result:
    """Two claims: the curve beats its rivals, and its three regions lie within the sweep on both sides."""
    sweep = evidence.sweep
    if because := too_few_defined(sweep.preference):
        units = {"rivals": "nats", "regions": SIDE}
        return Result(tuple(undecided(NAME, part, evidence.key, unit, because) for part, unit in units.items()))
    fit, claim, table = compare(
        NAME, "rivals", "Eq. 15", PreferenceCurve, sweep.multipliers, sweep.preference, key=evidence.key, seed=evidence.seed
    )  # fmt: skip
    return Result((claim, _three_regions(fit, evidence.key)), {"rivals": table})


def _three_regions(fit: CurveFit, key: Key) -> Claim:
    """Convergence must begin within the sweep, and after the near-linear region has ended, on the worse side too."""
    if not fit.ok:
        return undecided(NAME, "regions", key, SIDE, fit.status.value)
    sides = {}
    for side, end in (("negative", fit.multipliers[0]), ("positive", fit.multipliers[-1])):
        linear, converges = (fit.properties[f"{name}_{side}"] for name in ("near_linear", "converges"))
        shares = [value / end for value in (converges.interval.low, converges.interval.high)]
        sides[side] = (converges.estimate / end, min(shares), max(shares), linear.estimate / end)
    side, (estimate, low, high, linear) = max(sides.items(), key=lambda item: item[1][0])
    interval = ConfidenceInterval(float(low), float(high))
    outcome = judge(interval, (0.0, 1.0))
    if outcome is Outcome.SUPPORTED and any(values[3] >= values[1] for values in sides.values()):
        outcome = Outcome.INCONCLUSIVE
    where = f"begins at {estimate:.0%} of the swept" if np.isfinite(estimate) else "does not begin on the"
    because = f"Convergence {where} {side} side, the later of the two, and the near-linear region ends " + (
        f"at {linear:.0%} of it." if np.isfinite(linear) else "nowhere within it."
    )
    control = "a curve without convergence, whose slope stays above a twentieth of that at zero"
    return Claim(NAME, "regions", key, float(estimate), SIDE, interval, control, outcome, because)
