"""Preference is linear in the multiplier near zero, and the linear region matters (arXiv 2602.02343, on eq. 15).

Two readings are told apart. As the paper draws it: a straight line through every other multiplier around zero meets all
of them, those it has not seen too, to within a tenth of its rise. As calculus has it: so does the tangent at m = 0,
which comes from automatic differentiation and has seen no other multiplier. A region's size is the change of preference
between its ends as a share of its span over the whole sweep, for any smooth curve has some linear region.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.claims import Claim, judge
from mechsteer.curves.fit import SIGNIFICANCE
from mechsteer.statistics import constancy_p_value, percentile_interval, resampled_means
from mechsteer.sweeps import Sweep

from .evidence import Evidence
from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "linear_region"
LINE, TANGENT = f"{NAME}: line", f"{NAME}: tangent"
DEPARTURE = 0.10
"""Largest departure, as a share of the line's rise: past it a reader would no longer draw a line."""
LEAST_SHARE = 0.20
"""Of the span of preference: less than a fifth is no region to rely on."""
LEAST_POINTS = 5
N_RESAMPLES = 1000


class Regions(NamedTuple):
    """For each curve, the ends of its linear region, and the line's slope there."""

    low: Float[ndarray, " curves"]
    high: Float[ndarray, " curves"]
    slope: Float[ndarray, " curves"]
    share: Float[ndarray, " curves"]


def run(evidence: Evidence) -> Result:
    """Two claims: how much of preference's span a straight line holds around zero, and how much the tangent."""
    sweep, unit = evidence.sweep, "share of the span of preference"
    because = too_few(len(sweep.pairs)) if len(sweep.pairs) < MIN_PAIRS else ""
    if not because and constancy_p_value(sweep.preference, seed=evidence.seed) > SIGNIFICANCE:
        because = (
            "Preference changes no more than the disagreement between pairs explains. Sweep further, or more pairs."
        )
    if because:
        return Result(tuple(undecided(name, evidence.subject, unit, because) for name in (LINE, TANGENT)))
    values = np.concatenate([sweep.preference, evidence.slope_preference[None]])
    curves = np.concatenate([values.mean(axis=1)[None], resampled_means(values, N_RESAMPLES, evidence.seed)])
    means, slopes = curves[:, :-1], curves[:, -1]
    line, tangent = line_regions(sweep.multipliers, means), tangent_regions(sweep.multipliers, means, slopes)
    whole = np.polyfit(sweep.multipliers, means[0], 1)
    miss = np.abs(means[0] - np.polyval(whole, sweep.multipliers)).max() / (abs(whole[0]) * np.ptp(sweep.multipliers))
    controls = (
        f"a straight line through the whole sweep, which misses by up to {miss:.0%} of its rise",
        f"the straight line around zero, whose slope is {line.slope[0]:.3g}",
    )
    claims, tables = [], []
    for name, words, regions, control in zip(
        (LINE, TANGENT), ("a straight line", "its tangent at zero"), (line, tangent), controls, strict=True
    ):
        interval = percentile_interval(regions.share[1:])
        ends = " to ".join(_where(float(end[0]), sweep) for end in (regions.low, regions.high))
        because = (
            f"Preference keeps to {words} of {regions.slope[0]:.3g} nats per unit of m from {ends}, "
            f"over {regions.share[0]:.1%} of its span; {LEAST_SHARE:.0%} are asked."
        )
        outcome = judge(interval, (LEAST_SHARE, np.inf))
        claims.append(Claim(name, evidence.subject, float(regions.share[0]), unit, interval, control, outcome, because))
        tables.append(pd.DataFrame(regions._asdict()).assign(line=words, resample=np.arange(len(curves)) - 1))
    return Result(tuple(claims), {"regions": pd.concat(tables, ignore_index=True)})


def _where(multiplier: float, sweep: Sweep) -> str:
    shift = abs(multiplier / sweep.multipliers[-1]) * sweep.relative_shift[-1].mean()
    return f"m = {multiplier:.3g} (relative shift {shift:.2g})"


def line_regions(multipliers: Float[ndarray, " m"], means: Float[ndarray, "curves m"]) -> Regions:
    """The windows around zero over which a line rises most, fitted to every other point and judged on all of them."""
    zero = int(np.argmin(np.abs(multipliers)))
    n, spans = len(multipliers), np.ptp(means, axis=1)
    best = Regions(*np.zeros((4, len(means))))
    for first in range(zero + 1):
        for last in range(max(zero, first + LEAST_POINTS - 1), n):
            window = slice(first, last + 1)
            columns = np.stack([multipliers[window], np.ones(last + 1 - first)], axis=1)
            coefficients = means[:, window][:, ::2] @ np.linalg.pinv(columns[::2]).T
            rise = np.abs(coefficients[:, 0]) * (multipliers[last] - multipliers[first])
            miss = np.abs(means[:, window] - coefficients @ columns.T).max(axis=1)
            share = np.abs(means[:, last] - means[:, first]) / spans
            better = (miss <= DEPARTURE * rise) & (share > best.share)
            best.low[better], best.high[better] = multipliers[first], multipliers[last]
            best.slope[better], best.share[better] = coefficients[better, 0], share[better]
    return best


def tangent_regions(
    multipliers: Float[ndarray, " m"], means: Float[ndarray, "curves m"], slopes: Float[ndarray, " curves"]
) -> Regions:
    """How far on each side the curve keeps to within a tenth of what its tangent has gained since zero."""
    zero = int(np.argmin(np.abs(multipliers)))
    found = []
    for mean, slope in zip(means, slopes, strict=True):
        gained = slope * multipliers
        departure = np.abs(np.divide(mean - mean[zero], gained, out=np.ones_like(mean), where=gained != 0) - 1)
        low = -_reach(-multipliers[zero::-1], departure[zero::-1])
        high = _reach(multipliers[zero:], departure[zero:])
        change = abs(float(np.diff(np.interp([low, high], multipliers, mean))[0]))
        found.append((low, high, slope, change / float(np.ptp(mean))))
    return Regions(*np.array(found, dtype=np.float64).T)


def _reach(sizes: Float[ndarray, " side"], departure: Float[ndarray, " side"]) -> float:
    """The first size at which the departure is too large, between two multipliers by a straight line."""
    beyond = np.flatnonzero(departure > DEPARTURE)
    if not len(beyond):
        return float(sizes[-1])
    last = int(beyond[0])
    return float(np.interp(DEPARTURE, departure[[last - 1, last]], sizes[[last - 1, last]]))
