"""Preference with its three regions marked, and the paper's curve (eq. 15) against rivals."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.panels import Place, panels
from .drawing.rivals import COMPARED, about_rivals, draw_rivals, rivals_table
from .drawing.saved import steer_of
from .drawing.steer_curves import (
    COLUMNS,
    SHIFT,
    curve_keys,
    curve_table,
    draw_curve,
    interval_key,
    mark_intervals,
    property_table,
    shift_axis,
    useful_shift,
)
from .drawing.style import QUANTITIES

NAME = "preference_curve"
ORDER = 110
SCOPE = "steer"

BOUNDARIES = ("near_linear_negative", "near_linear_positive", "converges_negative", "converges_positive")
LINEAR, TRANSITION = "#C4C4C4", "#E6E6E6"


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """The curve (nats), where its regions meet as measured (relative shift), and a row for each rival (nats)."""
    steer = steer_of(study, subject)
    if steer is None:
        return None
    sweep = study.sweep_of(steer)
    parts = [
        curve_table(study, sweep, "preference"),
        property_table(study, sweep, "preference", BOUNDARIES),
        rivals_table(study, "preference_curve", steer),
    ]
    return pd.concat([part for part in parts if len(part)]).reindex(columns=COLUMNS).assign(subject=str(steer))


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """Two panels: the curve and its regions; the rivals."""
    table, steer = numbers(study, subject), steer_of(study, subject)
    if table is None or steer is None:
        return None
    useful = useful_shift(study, [study.sweep_of(steer)])
    look = QUANTITIES["preference"]
    with panels(ax, 2, height=4.8, ratios=(1.6, 1)) as shown:
        curve, rivals = shown.axes
        _draw_regions(curve, table)
        draw_curve(curve, table.loc[table["quantity"] == "preference"], look)
        _mark_boundaries(curve, table)
        curve.set_ylabel("preference log-odds (nats)")
        shift_axis(curve, table, useful)
        curve.set_xlabel(SHIFT)
        draw_rivals(rivals, table.loc[table.kind.isin(COMPARED)], "eq. 15")
        regions = {"linear growth": LINEAR, "transition": TRANSITION}
        shown.legend(
            [
                *curve_keys(look, "eq. 15"),
                *(Patch(facecolor=shade, label=name) for name, shade in regions.items()),
                interval_key("where regions meet, 95 %"),
            ]
        )
        shown.caption(
            f"{table.subject.iloc[0]}.",
            "(a) Mean of pairs with 95 % intervals; on white, preference has converged.",
            about_rivals(table, "eq. 15"),
        )
    return shown.figure


def _draw_regions(ax: Axes, table: pd.DataFrame) -> None:
    """Each side's regions as shades; what has no value lies beyond the sweep, and so does the end of its region."""
    found = table.loc[table.kind == "property"].set_index("name")
    ax.grid(False)
    for side, end in (("negative", table.relative_shift.min()), ("positive", table.relative_shift.max())):
        ends = [found.value.get(f"{name}_{side}", np.nan) for name in ("near_linear", "converges")]
        linear, converges = (end if np.isnan(value) else value for value in ends)
        ax.axvspan(0, converges, color=TRANSITION, linewidth=0, zorder=-2)
        ax.axvspan(0, linear, color=LINEAR, linewidth=0, zorder=-1)


def _mark_boundaries(ax: Axes, table: pd.DataFrame) -> None:
    # An interval without an end goes on beyond the sweep.
    found = table.loc[table.kind == "property"].dropna(subset="value")
    found = found.fillna({"low": table.relative_shift.min(), "high": table.relative_shift.max()})
    mark_intervals(ax, found.value, found.low, found.high)
