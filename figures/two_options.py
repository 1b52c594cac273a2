"""Answers to choose from: what a steer gains for the concept beside what it gains for an answer, whatever that stands for."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.evidence.two_options import BIAS_GAINED, CONCEPT
from analyses.studies.finished import Study
from mechsteer.families import form_title
from mechsteer.store.keys import Key, keys_in, rows_of

from .drawing.panels import Place, key, panels, side_keys, side_lines, zero_lines
from .drawing.saved import measured_on, saved
from .drawing.style import GREY, form_order, method_looks

NAME = "two_options"
ORDER = 36


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each multiplier of each method's first seed: what it gains for the concept (`concept`) and for the answer
    (`value`, with its interval), in nats."""
    table = saved(study, "two_options")
    if table is None:
        return None
    parts = []
    firsts: dict[tuple[str, str], Key] = {}
    for of in keys_in(table):
        firsts.setdefault((of.method, of.form), of)
    for of in firsts.values():
        rows = rows_of(table, of)
        concept = rows[rows.quantity == CONCEPT].set_index("multiplier").estimate
        rows = rows[rows.quantity == BIAS_GAINED]
        parts.append(rows.assign(steer=str(of), concept=concept.reindex(rows.multiplier).to_numpy()))
    found = pd.concat(parts, ignore_index=True).rename(columns={"estimate": "value"}).assign(unit="nats")
    columns = ["steer", "method", "form", "multiplier", "concept", "value", "low", "high", "unit", "answer"]
    return found.reindex(columns=columns)


def draw(study: Study, ax: Place = None) -> Figure | None:
    """A panel for each form, a line for each method: on the axis it gains for the concept alone, on a diagonal for the answer as
    much."""
    table = numbers(study)
    if table is None:
        return None
    forms, looks = sorted(set(table.form), key=form_order), method_looks(table.method)
    # On one scale, a steer that does all for the answer is an upright line.
    reach = 1.08 * table[["concept", "value"]].abs().max().max()
    with panels(ax, len(forms), height=0.8 + 1.9 * len(forms), sharex=True, sharey=True) as shown:
        for panel, form in zip(shown.axes, forms, strict=True):
            for _, rows in table.loc[table.form == form].groupby("steer", sort=False):
                side_lines(panel, rows, "concept", "value", looks[rows.method.iloc[0]])
            zero_lines(panel, y=True)
            for slope in (-1, 1):
                panel.axline((0, 0), slope=slope, color=GREY, linewidth=0.6, linestyle=":")
            panel.set(xlim=(-reach, reach), ylim=(-reach, reach))
            panel.set_title(form_title(form))
        shown.x_label("gained for the concept (nats)")
        shown.y_label(f"gained for the answer {table.answer.iloc[0]} (nats)")
        shown.legend([*(key(method, look, linestyle=look.line) for method, look in looks.items()), *side_keys()])
        shown.caption(measured_on(study), "A line for each method's first training seed; dotted: equal gains.")
    return shown.figure
