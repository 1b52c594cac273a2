"""What steers lose of a second utility, beside what they lose of the pairs' own."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.families import form_title
from mechsteer.measuring.useful import USEFUL
from mechsteer.store.keys import keys_in, rows_of

from .drawing.panels import Place, key, panels, side_keys, side_lines, wide_axis
from .drawing.saved import measured_on, saved
from .drawing.style import GREY, form_order, method_looks

NAME = "second_utility"
ORDER = 35


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each steer and multiplier: both losses, the second (`value`, nats per token) with its interval."""
    table = saved(study, "second_utility")
    if table is None:
        return None
    parts = [rows_of(table, of).assign(steer=str(of)) for of in keys_in(table)]
    found = pd.concat(parts, ignore_index=True).rename(columns={"second_lost": "value"}).assign(unit="nats per token")
    columns = ["steer", "method", "form", "multiplier", "utility_lost", "value", "low", "high", "unit", "read_from"]
    return found.reindex(columns=columns)


def draw(study: Study, ax: Place = None) -> Figure | None:
    """A panel for each form, two lines for each method: where lines lie on each other, either utility tells of the same decay."""
    table = numbers(study)
    if table is None:
        return None
    forms, looks = sorted(set(table.form), key=form_order), method_looks(table.method)
    with panels(ax, len(forms), height=0.8 + 1.45 * len(forms), sharex=True, sharey=True) as shown:
        for panel, form in zip(shown.axes, forms, strict=True):
            for _, rows in table.loc[table.form == form].groupby("steer", sort=False):
                side_lines(panel, rows, "utility_lost", "value", looks[rows.method.iloc[0]])
            panel.axvline(USEFUL, color=GREY, linewidth=0.6, linestyle=":")
            panel.axhline(0, color=GREY, linewidth=0.6)
            wide_axis(panel.xaxis, 0.1, table.utility_lost)
            wide_axis(panel.yaxis, 0.01, table.value)
            panel.set_title(form_title(form))
        shown.x_label(f"utility lost on pairs (nats; dotted: {USEFUL:g})")
        shown.y_label("second utility lost (nats / token)")
        shown.legend([*(key(method, look, linestyle=look.line) for method, look in looks.items()), *side_keys()])
        shown.caption(
            measured_on(study),
            f"The second utility is the {table.read_from.iloc[0]}.",
            "A line for each method and direction.",
        )
    return shown.figure
