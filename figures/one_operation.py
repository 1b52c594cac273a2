"""Hooks and edited weights are one operation: how far their logits differ, against how much the steer changes."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.families import form_title

from .drawing.panels import Place, key, panels
from .drawing.saved import measured_on, saved
from .drawing.style import GREY, Look, form_looks

NAME = "one_operation"
ORDER = 60
LEAST = 1e-7
"""Logits: below this a difference is drawn between here and zero."""


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each steer and text: the largest differences of its logits."""
    return saved(study, "evidence/one_operation")


def draw(study: Study, ax: Place = None) -> Figure | None:
    """One panel, a point for each text; open marks are the control, weights edited by the opposite sign."""
    table = numbers(study)
    if table is None:
        return None
    looks = form_looks(table["form"])
    with panels(ax, height=3.0) as shown:
        panel = shown.axes[0]
        for form, rows in table.groupby("form", sort=False):
            look = looks[str(form)]
            panel.plot(rows.change, rows.difference, look.marker, color=look.colour, alpha=0.8, markeredgewidth=0)
            panel.plot(
                rows.change, rows.reversed, look.marker, color=look.colour, fillstyle="none", markeredgewidth=0.6
            )
        ends = np.array([0.9 * table.change.min(), 1.1 * table.change.max()])
        panel.plot(ends, table.tolerance.max() * ends, color=GREY, linestyle=":")
        # Logits that are equal to the bit have no place on a logarithmic axis.
        some_are_equal = table.difference.min() == 0
        panel.set_yscale(**({"value": "symlog", "linthresh": LEAST} if some_are_equal else {"value": "log"}))
        panel.set_xlabel("largest change by the steer (logits)")
        panel.set_ylabel("largest difference (logits)")
        shown.legend(
            [
                *(key(form_title(form), look) for form, look in looks.items()),
                key("edit of opposite sign", Look(GREY, "o"), fillstyle="none"),
                key(f"allowed: {table.tolerance.max():g} of the change", Look(GREY, "", ":"), line=True),
            ]
        )
        n_texts = table.groupby(["method", "form"]).size().max()
        shown.caption(
            measured_on(study),
            f"A point for each of {n_texts} texts under each form; open points have the edit's sign reversed.",
            f"At zero, logits are equal to the bit; the scale is logarithmic above {LEAST:g}."
            if some_are_equal
            else "",
        )
    return shown.figure
