"""Where preference is a straight line: its mean, the line over its region, the tangent at zero over its own."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy import ndarray

from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.panels import Place, key, panels, with_intervals, zero_lines
from .drawing.saved import of_steer, steer_of
from .drawing.steer_curves import SHIFT, curve_table, interval_key, mark_intervals
from .drawing.style import BLACK, GREY, LIGHT, QUANTITIES, Look

NAME = "linear_region"
ORDER = 130
SCOPE = "steer"

REGIONS = "linear_region-regions"
LINE, TANGENT, ALL = "a straight line", "its tangent at zero", "a line through all"
LOOKS = {LINE: Look(BLACK, ""), TANGENT: Look(BLACK, "", "--"), ALL: Look(GREY, "", ":")}
AROUND_ZERO = 4
"""Multipliers on each side of zero that the second panel shows; more where the tangent holds for longer."""


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """The mean (nats); each line's two ends (nats), with the intervals of where they lie (relative shift)."""
    steer = steer_of(study, subject)
    if steer is None:
        return None
    sweep = study.sweep_of(steer)
    table = curve_table(study, sweep, "preference")
    mean = table.loc[table.kind == "measured"]
    lines = pd.DataFrame(_lines(mean.multiplier.to_numpy(), mean.value.to_numpy(), of_steer(study, REGIONS, steer)))
    lines = lines.assign(quantity="preference", kind="line", unit="nats")
    ends = ["multiplier", "end_low", "end_high"]
    lines[["relative_shift", "end_low", "end_high"]] = sweep.signed_shift_at(
        lines.reindex(columns=ends).to_numpy(float)
    )
    return pd.concat([mean, lines], ignore_index=True).assign(subject=str(steer))


def _lines(m: ndarray, mean: ndarray, regions: pd.DataFrame | None) -> Iterator[dict[str, Any]]:
    """The ends of the one line through all, and of those that claims were judged by, where there are any."""
    slope, height = np.polyfit(m, mean, 1)
    yield from (
        {"name": ALL, "multiplier": end, "value": height + slope * end, "slope": slope} for end in (m[0], m[-1])
    )
    if regions is None:
        return
    for name, found in regions.groupby("line", sort=False):
        first, resamples = found.loc[found["resample"] < 0].iloc[0], found.loc[found["resample"] >= 0]
        # The line was fitted to every other multiplier of its region; the tangent touches the curve at zero.
        window = (m >= first.low) & (m <= first.high)
        seen = (m[window][::2].mean(), mean[window][::2].mean())
        x, y = (0.0, np.interp(0.0, m, mean)) if name == TANGENT else seen
        for end, furthest in (("low", m[0]), ("high", m[-1])):
            # A resample that has too few multipliers in its useful range may have none of it or all, as in the claim.
            fills = sorted((0.0, furthest))
            low, high = (
                np.quantile(resamples[end].fillna(fill), at, method="closest_observation") if len(resamples) else np.nan
                for fill, at in zip(fills, (0.025, 0.975), strict=True)
            )
            row = {"name": name, "multiplier": first[end], "value": y + first.slope * (first[end] - x)}
            yield row | {"slope": first.slope, "share_of_span": first.share, "end_low": low, "end_high": high}


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """Two panels: the whole sweep, and the multipliers around zero. Even axes, so that lines are straight."""
    table = numbers(study, subject)
    if table is None:
        return None
    with panels(ax, 2, height=4.6) as shown:
        whole, near = shown.axes
        for panel in shown.axes:
            _draw_lines(panel, table)
            panel.set_ylabel("preference log-odds (nats)")
        of_line = table.loc[table["name"] == LINE]
        mark_intervals(whole, of_line.relative_shift, of_line.end_low, of_line.end_high)
        reach = _around_zero(table)
        inside = table.loc[(table.kind == "measured") & (table.relative_shift.abs() <= reach)]
        margin = 0.1 * (inside.high.max() - inside.low.min())
        near.set_xlim(-1.1 * reach, 1.1 * reach)
        near.set_ylim(inside.low.min() - margin, inside.high.max() + margin)
        near.set_title("around zero")
        whole.set_title("the whole sweep")
        shown.x_label(SHIFT, each=True)
        ends = table.loc[table.kind == "line"].groupby("name")
        slopes, lengths = ends.slope.first(), ends.multiplier.agg(np.ptp)
        drawn = [name for name in LOOKS if lengths.get(name, 0) > 0]
        shown.legend(
            [
                key("mean of pairs", QUANTITIES["preference"], linestyle="-", linewidth=0.7),
                *(key(name, LOOKS[name], line=True) for name in drawn),
                *[Patch(facecolor=LIGHT, alpha=0.5, label="where the line holds")] * (LINE in drawn),
                *[interval_key("where it ends, 95 %")] * (LINE in drawn),
            ]
        )
        told = [
            f"{name} {slopes[name]:.2g}" + " (holds nowhere)" * (name not in drawn) for name in LOOKS if name in slopes
        ]
        shown.caption(
            f"{table.subject.iloc[0]}, mean of pairs with 95 % intervals.",
            f"Slopes, in nats per unit of the multiplier: {', '.join(told)}.",
        )
    return shown.figure


def _around_zero(table: pd.DataFrame) -> float:
    tangent = table.loc[table["name"] == TANGENT].relative_shift.abs().max()
    sizes = np.sort(table.loc[table.kind == "measured"].relative_shift.abs().unique())
    return float(np.fmax(1.5 * tangent, sizes[min(AROUND_ZERO, len(sizes) - 1)]))


def _draw_lines(ax: Axes, table: pd.DataFrame) -> None:
    zero_lines(ax)
    measured = table.loc[table.kind == "measured"]
    for name, look in LOOKS.items():
        ends = table.loc[table["name"] == name]
        if not np.ptp(ends.multiplier if len(ends) else [0]):
            continue
        ax.plot(ends.relative_shift, ends.value, color=look.colour, linestyle=look.line, linewidth=1.1)
        if name == LINE:
            ax.axvspan(*ends.relative_shift, color=LIGHT, alpha=0.5, linewidth=0, zorder=-1)
    with_intervals(ax, measured.relative_shift, measured, QUANTITIES["preference"], markersize=2.6, markeredgewidth=0)
