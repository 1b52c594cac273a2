"""The frontier by form and method: preference gained at an equal loss of utility, and the relative shift it takes."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.families import form_title

from .drawing.panels import Place, key, panels, plain_numbers, with_intervals
from .drawing.saved import measured_on, saved
from .drawing.style import GREY, Look, method_looks

NAME = "frontier"
ORDER = 30

ASKING = (0, (4, 1, 1, 1))
"""The line at what asking in words gains."""


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each method, form and budget: the gain (nats) with its interval, and the mean shift of both directions.

    Beside them, the same in every row, what asking in words gains and loses, where the study has asked.
    """
    table = saved(study, "frontier")
    if table is None:
        return None
    rows = table.dropna(subset="budget").rename(columns={"gained": "value"})
    shift = (rows.relative_shift_negative + rows.relative_shift_positive) / 2
    rows = rows.assign(relative_shift=shift, unit="nats")
    shown = ["form", "method", "n_seeds", "budget", "value", "low", "high", "unit", "relative_shift"]
    if (asked := saved(study, "prompting")) is not None:
        both = asked.loc[asked.side == "both"].iloc[0]
        rows, shown = rows.assign(asking=both.gained, asking_loses=both.lost), [*shown, "asking", "asking_loses"]
    return rows.loc[:, shown]


def draw(study: Study, ax: Place = None) -> Figure | None:
    """Two panels for each form, side by side: gain against budget, and shift against budget."""
    table = numbers(study)
    if table is None:
        return None
    asking = table.iloc[0] if "asking" in table else None
    forms, looks = list(dict.fromkeys(table.form)), method_looks(table.method)
    with panels(ax, len(forms), 2, height=0.8 + 1.45 * len(forms), sharex=True, sharey="col") as shown:
        for row, form in enumerate(forms):
            gain, shift = shown.axes[2 * row : 2 * row + 2]
            _draw_form(gain, shift, table.loc[table.form == form], looks)
            for panel in (gain, shift):
                panel.set_title(form_title(form))
            gain.set_ylabel("preference gained (nats)")
            if asking is not None:
                gain.axhline(asking.asking, color=GREY, linestyle=ASKING, linewidth=0.9, zorder=1)
            shift.set_ylabel("relative shift")
        shown.x_label("utility lost (nats)")
        handles = [key(method, look, linestyle=look.line) for method, look in looks.items()]
        if asking is not None:
            handles.append(key("asking in words", Look(GREY, "", ASKING), line=True, linewidth=0.9))
        shown.legend(handles)
        seeds = int(table.n_seeds.max())
        over = "pairs" if seeds == 1 else f"pairs and {seeds} training seeds"
        shown.caption(
            measured_on(study),
            f"Left: preference gained, mean of both directions, with 95 % intervals over {over}.",
            "Right: the relative shift ‖shift‖/‖h‖ that it takes.",
            ""
            if asking is None
            else f"Asking for the concept in words loses {asking.asking_loses:.2g} nats of utility.",
        )
    return shown.figure


def _draw_form(gain: Axes, shift: Axes, table: pd.DataFrame, looks: dict[str, Look]) -> None:
    for offset, (method, look) in enumerate(looks.items()):
        rows = table.loc[table.method == method]
        if len(rows):
            # Side by side, so that no interval hides another.
            x = rows.budget * (1 + 0.05 * (offset - (len(looks) - 1) / 2))
            with_intervals(gain, x, rows, look, linestyle=look.line)
            shift.plot(x, rows.relative_shift, color=look.colour, marker=look.marker, linestyle=look.line)
    for panel in (gain, shift):
        panel.set_xscale("log", base=2)
        panel.set_xticks(sorted(table.budget.unique()))
        plain_numbers(panel.xaxis)
        panel.minorticks_off()
