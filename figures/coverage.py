"""Coverage: what a steer changes of the pairs' completions, of completions that the model would write, and of second pairs."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.claims.coverage import LOSS, ODDS, PAIRS, PREFERENCE, SAMPLED, SECOND, UTILITY
from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.panels import Place, key, panels, wide_axis, with_intervals, zero_lines
from .drawing.saved import of_steer
from .drawing.style import BLACK, LIGHT, Look, shades

NAME = "coverage"
ORDER = 86
SCOPE = "steer"
LOOKS = shades((PAIRS, SAMPLED, SECOND))
BY_MASS = Look(BLACK, "D", ":")
"""Of the odds that an answer takes a side, beside preference."""
PANELS = {
    PREFERENCE: "preference gained (nats)",
    UTILITY: "utility lost (nats)",
    LOSS: "lost by completions (nats)",
}


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """A row for each kind of completions, quantity and multiplier: means over queries (nats), with intervals of 95 %."""
    table = of_steer(study, "coverage-curve", subject)
    return None if table is None else table.assign(unit="nats")


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """Three panels; the useful range is shaded."""
    table = numbers(study, subject)
    if table is None:
        return None
    with panels(ax, 3, height=5.0, sharex=True) as shown:
        for panel, (quantity, label) in zip(shown.axes, PANELS.items(), strict=True):
            panel.axvspan(table.useful_low[0], table.useful_high[0], color=LIGHT, alpha=0.35, zorder=0, linewidth=0)
            rows = table.loc[table.quantity == quantity]
            for whose, look in LOOKS.items():
                own = rows.loc[rows.whose == whose]
                with_intervals(panel, own.multiplier, own, look, linestyle=look.line)
            wide_axis(panel.yaxis, 10.0 if quantity == PREFERENCE else 0.5, rows[["low", "high"]])
            zero_lines(panel, y=True)
            panel.set_ylabel(label)
        odds = table.loc[table.quantity == ODDS]
        with_intervals(shown.axes[0], odds.multiplier, odds, BY_MASS, linestyle=BY_MASS.line)
        shown.over_multipliers(table.multiplier)
        looks = {whose: look for whose, look in LOOKS.items() if whose in set(table.whose)}
        looks |= {"odds, by sampled mass": BY_MASS} if len(odds) else {}
        shown.legend([key(name, look, linestyle=look.line) for name, look in looks.items()])
        shown.caption(
            f"{table.subject.iloc[0]}, means over {table.n_queries.max()} queries with 95 % intervals.",
            "(c) By how much the loss of a completion grows, each weighted by how likely it is unsteered.",
            "The odds are those that a sampled completion is on the concept's side." if len(odds) else "",
            "Grey: the useful range by log-odds.",
        )
    return shown.figure
