"""Log-odds and judged text against the multiplier: preference, what a judge says of the same steer's texts, and utility."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.panels import Place, key, panels, wide_axis, with_intervals, zero_lines
from .drawing.saved import of_steer
from .drawing.style import LIGHT, QUANTITIES, shades

NAME = "judged_text"
ORDER = 87
SCOPE = "steer"
GAINED, JUDGED, LOST = "preference gained", "judged", "utility lost"
PANELS = {GAINED: "preference gained (nats)", JUDGED: "judged (share of the scale)", LOST: "utility lost (nats)"}


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """A row for each quantity and multiplier, with 95 % intervals over pairs, or over queries."""
    table = of_steer(study, "judged_text-curve", subject)
    return (
        None
        if table is None
        else table.assign(unit=table.quantity.isin(set(PANELS)).map({True: "nats", False: "share"}))
    )


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """Three panels over one axis; the useful range by log-odds is shaded."""
    table = numbers(study, subject)
    if table is None:
        return None
    looks = shades(name for name in pd.unique(table.quantity) if name not in PANELS)
    shown_in = {GAINED: {GAINED: QUANTITIES["preference"]}, JUDGED: looks, LOST: {LOST: QUANTITIES["utility"]}}
    with panels(ax, 3, height=4.6, sharex=True) as shown:
        for panel, (quantity, label) in zip(shown.axes, PANELS.items(), strict=True):
            panel.axvspan(table.useful_low[0], table.useful_high[0], color=LIGHT, alpha=0.35, zorder=0, linewidth=0)
            for name, look in shown_in[quantity].items():
                rows = table.loc[table.quantity == name]
                with_intervals(panel, rows.multiplier, rows, look, linestyle=look.line)
            if quantity == JUDGED:
                panel.set_ylim(-0.03, 1.03)
            else:
                ends = table.loc[table.quantity == quantity, ["low", "high"]]
                wide_axis(panel.yaxis, 10.0 if quantity == GAINED else 0.5, ends)
            zero_lines(panel, y=quantity != JUDGED)
            panel.set_ylabel(label)
        shown.over_multipliers(table.multiplier)
        shown.legend([key(name, look, linestyle=look.line) for name, look in looks.items()])
        shown.caption(
            f"{table.subject.iloc[0]}, judged by {table.judge.iloc[0]}; means over pairs, and over queries, with 95 % intervals.",
            "Grey: the useful range by log-odds.",
        )
    return shown.figure
