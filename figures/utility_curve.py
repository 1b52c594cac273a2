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
from .drawing.steer_curves import COLUMNS, SHIFT, curve_keys, curve_table, draw_curve, property_table, shift_axis
from .drawing.style import BLACK, GREY, LIGHT, QUANTITIES, Look

NAME = "utility_curve"
ORDER = 120
SCOPE = "steer"

PEAK, HALF = Look(BLACK, ""), Look(GREY, "", ":")
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
    table = numbers(study, subject)
    if table is None:
        return None
    look = QUANTITIES["utility"]
    with panels(ax, 2, height=4.8, ratios=(1.6, 1)) as shown:
        curve, rivals = shown.axes
        curve.axvspan(-NEAR, NEAR, color=LIGHT, linewidth=0, zorder=-1)
        for row in table.loc[table.kind == "property"].dropna(subset="value").itertuples():
            mark = MARKS[row.name]
            curve.axvline(row.value, color=mark.colour, linestyle=mark.line, linewidth=0.8)
            curve.axvspan(row.low, row.high, color=mark.colour, alpha=0.3, linewidth=0, zorder=-1)
        draw_curve(curve, table.loc[table["quantity"] == "utility"], look)
        curve.set_ylabel("utility log-odds (nats)")
        shift_axis(curve, table)
        curve.set_xlabel(SHIFT)
        draw_rivals(rivals, table.loc[table.kind.isin(COMPARED)], "eq. 17")
        shown.legend(
            [
                *curve_keys(look, "eq. 17"),
                key("peak", PEAK, line=True),
                key("half a nat lost", HALF, line=True),
                Patch(facecolor=LIGHT, label=f"within {NEAR:g} of zero"),
            ]
        )
        shown.caption(
            f"{table.subject.iloc[0]}.",
            "(a) Mean of pairs with 95 %; shades around the peak and where half a nat is lost are their intervals.",
            about_rivals(table, "eq. 17"),
        )
    return shown.figure
