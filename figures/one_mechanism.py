"""One mechanism: the shift at which each form loses how much utility, beside what vectors predict."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.families import form_title

from .drawing.panels import Place, key, panels, steer_line, zero_lines
from .drawing.saved import measured_on, saved
from .drawing.steer_curves import SHIFT
from .drawing.style import BLACK, Look, form_order, method_looks

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
    """A panel for each form; the further a method's line lies from the dashed one, the less vectors predict it."""
    table = numbers(study)
    if table is None:
        return None
    forms, looks = sorted(set(table.form), key=form_order), method_looks(table.method)
    with panels(ax, len(forms), height=0.8 + 1.45 * len(forms), sharex=True, sharey=True) as shown:
        for panel, form in zip(shown.axes, forms, strict=True):
            for (method, _), rows in table.loc[table.form == form].groupby(["method", "side"], sort=False):
                look = looks[str(method)]
                panel.hlines(rows.budget, rows.side * rows.low, rows.side * rows.high, color=look.colour, linewidth=0.7)
                steer_line(panel, rows.side * rows.value, rows.budget, look)
            for _, rows in table.drop_duplicates(["side", "budget"]).groupby("side"):
                panel.plot(
                    rows.side * rows.predicted, rows.budget, color=PREDICTED.colour, linestyle=PREDICTED.line, zorder=3
                )
            zero_lines(panel)
            panel.set_yscale("log")
            budgets = np.unique(table.budget)
            panel.set_yticks(budgets, [f"{budget:g}" for budget in budgets])
            panel.minorticks_off()
            panel.set_title(form_title(form))
        shown.x_label(SHIFT)
        shown.y_label("utility lost (nats)")
        handles = [key(method, look, linestyle=look.line) for method, look in looks.items()]
        shown.legend([*handles, key("vectors' mean", PREDICTED, line=True)])
        shown.caption(
            measured_on(study),
            "Relative shifts with 95 % intervals; the dashed line is the mean of the vectors. Were there one "
            "mechanism, it would predict the other forms.",
        )
    return shown.figure
