"""Preference follows (α m + β) D(m) + b, and has three regions: near-linear, transition, convergence.

ArXiv 2602.02343, eq. 15 with the decay of eq. 12. Nine parameters fit any smooth curve through a few dozen points in
sample, so the curve is judged on held-out multipliers, and against rivals with as many parameters.

The third region is where validity has decayed, at collapse, so it is looked for as far as the sweep goes. Sweeps end in strides:
what a single multiplier would decide, the last on either side, is left undecided.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mechsteer.curves import FitStatus, PreferenceCurve
from mechsteer.curves.fit import measured_properties
from mechsteer.curves.properties import SIDES, Property
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import Key

from ..evidence.evidence import Evidence
from .result import Result, undecided
from .rivals import TOLERANCE, UNITS, judge_curve, too_few_defined

NAME = "preference_curve"
ORDER = 90
THEME = "curves"
VERSION = 3
TITLES = {
    "adequate": "The paper's preference curve fits where steering is useful",
    "adequate, whole sweep": "The paper's preference curve fits over the whole sweep",
    "best of rivals": "The paper's preference curve predicts better than its rivals",
    "regions": "Preference grows, turns and levels off",
}
FIGURE = "preference_curve"
BOUNDS = dict.fromkeys(("adequate", "adequate, whole sweep"), (TOLERANCE,))
SIDE = "share of the swept side"
RATE = 0.05
"""Of false outcomes."""
N_RESAMPLES = 1999
"""Where preference levels off may be infinite, so p-values are counted, down to 0.001."""


def run(evidence: Evidence) -> Result:
    """Four claims: the curve is adequate, also over the whole sweep; it beats its rivals; it has three regions on both sides."""
    sweep = evidence.sweep
    if because := too_few_defined(sweep.preference, sweep.utility):
        units = UNITS | {"regions": SIDE}
        return Result(tuple(undecided(NAME, part, evidence.key, unit, because) for part, unit in units.items()))
    found = judge_curve(
        NAME, "Eq. 15", PreferenceCurve, sweep, evidence.slope_preference, key=evidence.key, seed=evidence.seed
    )
    regions = _three_regions(found.fit.status, sweep, evidence.slope_preference, evidence.key, evidence.seed)
    return Result((*found.claims, regions), {"rivals": found.rivals})


def _three_regions(status: FitStatus, sweep: Sweep, slopes: Float[ndarray, " pairs"], key: Key, seed: int) -> Claim:
    """On both sides, measured convergence must begin within the sweep and after the near-linear region has ended."""
    found = _measured(sweep, slopes, slice(None), seed)
    if status is FitStatus.NO_SIGNAL or not found:
        return undecided(NAME, "regions", key, SIDE, status.value)
    whole, without_ends = (_p_values(item) for item in (found, _measured(sweep, slopes, slice(1, -1), seed)))
    levels, does_not = map(max, whole, without_ends)
    rests_on_ends = min(whole) <= RATE < min(levels, does_not)
    if any(abs(found[f"near_linear_{side}"].estimate) >= abs(found[f"converges_{side}"].estimate) for side in SIDES):
        levels = 1.0
    outcome = Outcome.INCONCLUSIVE
    if (p := min(levels, does_not)) <= RATE:
        outcome = Outcome.SUPPORTED if levels <= RATE else Outcome.REFUTED
    sides = dict(zip(SIDES, sweep.multipliers[[0, -1]], strict=True))
    side, end = max(sides.items(), key=lambda item: found[f"converges_{item[0]}"].estimate / item[1])
    linear, converges = (found[f"{name}_{side}"] for name in ("near_linear", "converges"))
    shares = sorted(value / end for value in (converges.interval.low, converges.interval.high))
    leaves, turns = (
        f"{verb}s {what} at {_where(at, sweep)}" if np.isfinite(at) else f"does not {verb} {what} within the sweep"
        for verb, what, at in (("leave", "its tangent", linear.estimate), ("level", "off", converges.estimate))
    )
    because = f"On the {side} side, the worse of the two, preference {leaves} and {turns}."
    because += f" The sweep ends at {_where(end, sweep)}."
    if rests_on_ends:
        because += " The last multiplier of a side alone would decide, so nothing is decided."
    control = "a curve without convergence, whose slope stays above a twentieth of its steepest"
    interval = ConfidenceInterval(float(shares[0]), float(shares[1]))
    return Claim(NAME, "regions", key, float(converges.estimate / end), SIDE, interval, control, outcome, because, p)


def _measured(sweep: Sweep, slopes: Float[ndarray, " pairs"], kept: slice, seed: int) -> dict[str, Property]:
    """What preference does over some of the multipliers."""
    defined = np.isfinite(sweep.preference).all(axis=0)
    values, level = sweep.preference[kept][:, defined], ConfidenceInterval.level
    return measured_properties(
        "preference", sweep.multipliers[kept], values, slopes[defined], n_resamples=N_RESAMPLES, level=level, seed=seed
    )


def _p_values(found: dict[str, Property]) -> tuple[float, float]:
    """Of not levelling off on both sides, and of doing so on each, by how often resamples do within the sweep; counted with the
    estimate's own luck. Either side refutes, so that is doubled once more."""
    beyond = np.array([found[f"converges_{side}"].beyond if found else np.nan for side in SIDES])
    shares = np.array([beyond.max(), 2 * (1 - beyond).min()])
    levels, does_not = np.minimum(1.0, 2 * (shares * N_RESAMPLES + 1) / (N_RESAMPLES + 1))
    return float(levels), float(does_not)


def _where(multiplier: float, sweep: Sweep) -> str:
    """A region's end, in relative shift and in nats of utility lost."""
    lost = np.interp(multiplier, sweep.multipliers, sweep.lost.mean(axis=1))
    shift = sweep.shift_at(np.array([multiplier]))[0]
    return f"a relative shift of {shift:.2g} ({lost:.2g} nats of utility lost)"
