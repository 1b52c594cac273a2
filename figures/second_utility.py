"""What steers lose of a second utility, beside what they lose of the pairs' own."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.families import form_title
from mechsteer.measuring.useful import USEFUL
from mechsteer.store.keys import keys_in, rows_of

from .drawing.panels import Place, key, panels, steer_line, wide_axis
from .drawing.saved import saved
from .drawing.style import GREY, form_looks

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
    """One panel, a line for each steer and direction: where lines lie on each other, either utility tells of the same decay."""
    table = numbers(study)
    if table is None:
        return None
    looks = form_looks(table.form)
    with panels(ax, height=2.5) as shown:
        (panel,) = shown.axes
        for _, rows in table.groupby("steer", sort=False):
            for side in (rows[rows.multiplier <= 0], rows[rows.multiplier >= 0]):
                steer_line(panel, side.utility_lost, side.value, looks[rows.form.iloc[0]])
        panel.axvline(USEFUL, color=GREY, linewidth=0.6, linestyle=":")
        panel.axhline(0, color=GREY, linewidth=0.6)
        for axis, even_up_to, values in ((panel.xaxis, 0.1, table.utility_lost), (panel.yaxis, 0.01, table.value)):
            wide_axis(axis, even_up_to, values)
            axis.set_view_interval(1.2 * values.min(), 1.2 * values.max(), ignore=True)
        panel.set_xlabel(f"utility lost on pairs (nats; dotted: {USEFUL:g})")
        panel.set_ylabel("second utility lost (nats / token)")
        shown.legend([key(form_title(form), look, linestyle=look.line) for form, look in looks.items()])
        shown.caption(f"The second utility is the {table.read_from.iloc[0]}.", "A line for each steer and direction.")
    return shown.figure
