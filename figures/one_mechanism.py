"""One mechanism: the shift at which each form loses how much utility, beside what vectors predict."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses.claims.one_mechanism import VECTOR
from analyses.studies.finished import Study
from mechsteer.families import form_title

from .drawing.panels import Place, key, panels, zero_lines
from .drawing.saved import saved
from .drawing.steer_curves import SHIFT
from .drawing.style import BLACK, Look, form_looks

NAME = "one_mechanism"
ORDER = 87
PREDICTED = Look(BLACK, "", "--")


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each steer, side of zero and loss: the relative shift there, with its interval, and the one predicted."""
    table = saved(study, "claims/one_mechanism-shift")
    if table is None:
        return None
    table = table.assign(unit="relative shift").rename(columns={"relative_shift": "value"})
    return table.reindex(columns=["method", "form", "side", "budget", "value", "low", "high", "predicted", "unit"])


def draw(study: Study, ax: Place = None) -> Figure | None:
    """One panel; the further a line of another form lies from the dashed one, the less vectors predict it."""
    table = numbers(study)
    if table is None:
        return None
    looks = form_looks(table["form"])
    with panels(ax, height=3.0) as shown:
        panel = shown.axes[0]
        for _, rows in table.groupby(["method", "form", "side"], sort=False):
            form = str(rows.form.iloc[0])
            look, width = looks[form], 0.6 if form == VECTOR else 1.0
            panel.hlines(
                rows.budget, rows.side * rows.low, rows.side * rows.high, color=look.colour, linewidth=0.5, alpha=0.6
            )
            panel.plot(
                rows.side * rows.value,
                rows.budget,
                color=look.colour,
                marker=look.marker,
                markersize=2.5,
                linestyle=look.line,
                linewidth=width,
            )
        for _, rows in table.drop_duplicates(["side", "budget"]).groupby("side"):
            panel.plot(
                rows.side * rows.predicted, rows.budget, color=PREDICTED.colour, linestyle=PREDICTED.line, zorder=3
            )
        zero_lines(panel)
        panel.set_yscale("log")
        budgets = np.unique(table.budget)
        panel.set_yticks(budgets, [f"{budget:g}" for budget in budgets])
        panel.minorticks_off()
        panel.set_xlabel(SHIFT)
        panel.set_ylabel("utility lost (nats)")
        handles = [key(form_title(form), look, linestyle=look.line) for form, look in looks.items()]
        shown.legend([*handles, key("vectors' mean", PREDICTED, line=True)])
        shown.caption(
            "A line for each method, its relative shifts with 95 %; the dashed line is the mean of the vectors, which predicts "
            "the others as far as the mechanism is one."
        )
    return shown.figure
