"""Utility with its peak marked, and the paper's curve (eq. 17) against rivals."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analyses.claims.utility_curve import NEAR
from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.panels import Place, key, panels
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
from .drawing.style import BLACK, LIGHT, QUANTITIES, Look

NAME = "utility_curve"
ORDER = 120
SCOPE = "steer"

PEAK, HALF = Look(BLACK, ""), Look(BLACK, "", ":")
MARKS = {"peak": PEAK, "half_nat_negative": HALF, "half_nat_positive": HALF}


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """The curve (nats), its peak and where half a nat is lost, as measured (relative shift), and a row for each rival (nats)."""
    steer = steer_of(study, subject)
    if steer is None:
        return None
    sweep = study.sweep_of(steer)
    parts = [
        curve_table(study, sweep, "utility"),
        property_table(study, sweep, "utility", MARKS),
        rivals_table(study, "utility_curve", steer),
    ]
    return pd.concat([part for part in parts if len(part)]).reindex(columns=COLUMNS).assign(subject=str(steer))


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """Two panels: the curve, its peak and what counts as near zero; the rivals."""
    table, steer = numbers(study, subject), steer_of(study, subject)
    if table is None or steer is None:
        return None
    useful = useful_shift(study, [study.sweep_of(steer)])
    look = QUANTITIES["utility"]
    with panels(ax, 2, height=4.8, ratios=(1.6, 1)) as shown:
        curve, rivals = shown.axes
        curve.axvspan(-NEAR, NEAR, color=LIGHT, linewidth=0, zorder=-1)
        found = table.loc[table.kind == "property"].dropna(subset="value")
        for row in found.itertuples():
            curve.axvline(row.value, color=BLACK, linestyle=MARKS[row.name].line, linewidth=0.8, zorder=1)
        draw_curve(curve, table.loc[table["quantity"] == "utility"], look)
        mark_intervals(curve, found.value, found.low, found.high)
        curve.set_ylabel("utility log-odds (nats)")
        shift_axis(curve, table, useful)
        curve.set_xlabel(SHIFT)
        draw_rivals(rivals, table.loc[table.kind.isin(COMPARED)], "eq. 17")
        shown.legend(
            [
                *curve_keys(look, "eq. 17"),
                key("peak", PEAK, line=True),
                key("half a nat lost", HALF, line=True),
                *[interval_key("their 95 %")] * len(found[:1]),
                Patch(facecolor=LIGHT, label=f"within {NEAR:g} of zero"),
            ]
        )
        shown.caption(
            f"{table.subject.iloc[0]}.",
            "(a) Mean of pairs with 95 % intervals; bars at the foot are the intervals of the "
            "peak and of where half a nat is lost.",
            about_rivals(table, "eq. 17"),
        )
    return shown.figure
