"""Preference is linear in the multiplier where steering is useful (arXiv 2602.02343, on eq. 15).

Two readings are told apart. As the paper draws it: a straight line through every other multiplier around zero meets all
of them, those it has not seen too, to within a tenth of its rise. As calculus has it: so does the tangent at m = 0,
which comes from automatic differentiation and has seen no other multiplier. Only the useful range is looked at
(`mechsteer/measuring/useful.py`), in each resample its own, for pairs differ in what they lose. A region's size is the
change of preference between its ends as a share of its span there, for any smooth curve has some linear region. A resample
whose useful range has too few multipliers may have none of it, or all.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray

from mechsteer.curves.fit import SIGNIFICANCE
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import USEFUL, is_useful, useful_points
from mechsteer.statistics.intervals import (
    N_RESAMPLES,
    ConfidenceInterval,
    constancy_p_value,
    percentile_interval,
    resampled_with,
)
from mechsteer.statistics.judging import Claim, Outcome, judge, p_value

from ..evidence.evidence import Evidence
from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "linear_region"
ORDER = 80
THEME = "curves"
VERSION = 3
TITLES = {
    "line": "Preference is a straight line in the useful range by log-odds",
    "tangent": "Preference follows its tangent at zero in the useful range by log-odds",
}
FIGURE = "linear_region"
DEPARTURE = 0.10
"""Largest departure, as a share of the line's rise: past it a reader would no longer draw a line."""
LEAST_SHARE = 0.50
"""Of the span of preference in the useful range: a line that holds for less of it describes the smaller part."""
BOUNDS = dict.fromkeys(TITLES, (LEAST_SHARE,))
LEAST_SIDE = 0.25
"""Of the region, on either side of zero: a line that holds on one side alone is not around zero."""
LEAST_POINTS = 5
"""Three to which the line is fitted, every other one, and between them two that it has not seen."""


class Regions(NamedTuple):
    """For each curve, the ends of its linear region, and the line's slope there."""

    low: Float[ndarray, " curves"]
    high: Float[ndarray, " curves"]
    slope: Float[ndarray, " curves"]
    share: Float[ndarray, " curves"]


def run(evidence: Evidence) -> Result:
    """Two claims: how much of preference's span a straight line holds around zero, and how much the tangent."""
    sweep, unit = evidence.sweep, "share of the useful span of preference"
    useful = is_useful(sweep)
    because = too_few(len(sweep.pairs)) if len(sweep.pairs) < MIN_PAIRS else ""
    if not because and useful.sum() < LEAST_POINTS:
        because = (
            f"{useful.sum()} multipliers lie where at most {USEFUL:g} nats of utility are lost; {LEAST_POINTS} are needed. Sweep "
            "more of them near zero."
        )
    if not because and constancy_p_value(sweep.preference, seed=evidence.seed) > SIGNIFICANCE:
        because = "Preference changes no more than pairs scatter by chance. Sweep further, or measure more pairs."
    if because:
        return Result(tuple(undecided(NAME, part, evidence.key, unit, because) for part in TITLES))
    n = len(sweep.multipliers)
    values = np.concatenate([sweep.preference, sweep.lost, evidence.slope_preference[None]])
    curves = resampled_with(values, N_RESAMPLES, evidence.seed)
    means, slopes = curves[:, :n], curves[:, -1]
    ranges = useful_points(curves[:, n:-1], sweep.zero)
    line = _by_range(line_regions, sweep.multipliers, ranges, means)
    tangent = _by_range(tangent_regions, sweep.multipliers, ranges, means, slopes)
    multipliers, mean = sweep.multipliers[useful], means[0, useful]
    whole = np.polyfit(multipliers, mean, 1)
    miss = np.abs(mean - np.polyval(whole, multipliers)).max() / (abs(whole[0]) * np.ptp(multipliers))
    controls = (
        f"a straight line over the whole useful range by log-odds, which misses by up to {miss:.0%} of its rise",
        f"the straight line around zero, whose slope is {line.slope[0]:.3g}",
    )
    n_unknown = int((ranges[1:].sum(axis=1) < LEAST_POINTS).sum())
    unknown = (
        f" In {n_unknown} of {N_RESAMPLES} resamples fewer than {LEAST_POINTS} multipliers lie there: they may have none of "
        "it, or all."
        if n_unknown
        else ""
    )
    claims, tables = [], []
    for part, words, regions, control in zip(
        TITLES, ("a straight line", "its tangent at zero"), (line, tangent), controls, strict=True
    ):
        least, most = (np.nan_to_num(regions.share[1:], nan=end) for end in (0.0, 1.0))
        interval = ConfidenceInterval(percentile_interval(least).low, percentile_interval(most).high)
        ends = " to ".join(_where(float(end[0]), sweep) for end in (regions.low, regions.high))
        followed = (
            f"follows {words} of {regions.slope[0]:.3g} nats per unit of m from {ends}"
            if regions.share[0] > 0
            else f"follows {words} over no range around m = 0"
        )
        because = (
            f"Preference {followed}. That is {regions.share[0]:.0%} [{interval.low:.0%}, {interval.high:.0%}] of its span where "
            f"at most {USEFUL:g} nats are lost; at least {LEAST_SHARE:.0%} is required.{unknown}"
        )
        allowed = (LEAST_SHARE, np.inf)
        outcome = judge(interval, allowed)
        p = p_value(most if outcome is Outcome.REFUTED else least, allowed, outcome)
        claims.append(
            Claim(NAME, part, evidence.key, float(regions.share[0]), unit, interval, control, outcome, because, p)
        )
        tables.append(pd.DataFrame(regions._asdict()).assign(line=words, resample=np.arange(len(curves)) - 1))
    return Result(tuple(claims), {"regions": pd.concat(tables, ignore_index=True)})


def _by_range(
    find: Callable[..., Regions], multipliers: Float[ndarray, " m"], ranges: Bool[ndarray, "curves m"],
    means: Float[ndarray, "curves m"], *others: Float[ndarray, " curves"],
) -> Regions:  # fmt: skip
    """The regions of each curve in its own useful range; undefined where that has too few points."""
    regions = Regions(*np.full((4, len(means)), np.nan))
    for useful in np.unique(ranges, axis=0):
        if useful.sum() >= LEAST_POINTS:
            at = (ranges == useful).all(axis=1)
            found = find(multipliers[useful], means[at][:, useful], *(other[at] for other in others))
            for whole, part in zip(regions, found, strict=True):
                whole[at] = part
    return regions


def _where(multiplier: float, sweep: Sweep) -> str:
    return f"m = {multiplier:.3g} (relative shift {sweep.shift_at(np.array([multiplier]))[0]:.2g})"


def line_regions(multipliers: Float[ndarray, " m"], means: Float[ndarray, "curves m"]) -> Regions:
    """Of lines fitted to every other point, and judged on all of them."""

    def fitted(window: slice) -> Float[ndarray, "curves 2"]:
        seen = multipliers[window][::2]
        return means[:, window][:, ::2] @ np.linalg.pinv(np.stack([seen, np.ones_like(seen)], axis=1)).T

    return _widest(multipliers, means, fitted)


def tangent_regions(
    multipliers: Float[ndarray, " m"], means: Float[ndarray, "curves m"], slopes: Float[ndarray, " curves"]
) -> Regions:
    """Of the lines with these slopes that meet the curves at zero."""
    tangents = np.stack([slopes, means[:, _zero(multipliers)]], axis=1)
    return _widest(multipliers, means, lambda window: tangents)._replace(slope=slopes)


def _widest(
    multipliers: Float[ndarray, " m"],
    means: Float[ndarray, "curves m"],
    line: Callable[[slice], Float[ndarray, "curves 2"]],
) -> Regions:
    """The windows around zero over which preference changes most while the line, a slope and a height, holds."""
    zero, n, spans = _zero(multipliers), len(multipliers), np.ptp(means, axis=1)
    best = Regions(*np.zeros((4, len(means))))
    for first in range(zero):
        for last in range(max(zero + 1, first + LEAST_POINTS - 1), n):
            window = slice(first, last + 1)
            sides = multipliers[zero] - multipliers[first], multipliers[last] - multipliers[zero]
            if min(sides) < LEAST_SIDE * sum(sides):
                continue
            slope, height = line(window).T
            rise = np.abs(slope) * (multipliers[last] - multipliers[first])
            miss = np.abs(means[:, window] - np.outer(slope, multipliers[window]) - height[:, None]).max(axis=1)
            share = np.abs(means[:, last] - means[:, first]) / spans
            better = (miss <= DEPARTURE * rise) & (share > best.share)
            best.low[better], best.high[better] = multipliers[first], multipliers[last]
            best.slope[better], best.share[better] = slope[better], share[better]
    return best


def _zero(multipliers: Float[ndarray, " m"]) -> int:
    return int(np.argmin(np.abs(multipliers)))
