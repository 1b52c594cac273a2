"""SPLIT's texts against every other method's in the same form, by a judge's harmonic mean: at m = 1, and at equal utility."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.families import form_title

from .drawing.forest import forest
from .drawing.panels import Place, key, panels, zero_lines
from .drawing.saved import claims
from .drawing.style import OUTCOMES, form_order
from .split_wins import WORDS

NAME = "judged_wins"
ORDER = 101


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each place, form and rival, as claimed: SPLIT's harmonic mean less the rival's."""
    rows = claims(study)
    rows = rows.loc[rows.claim == "judged_wins"]
    if rows.empty:
        return None
    order = rows.form.map(form_order)
    rows = rows.assign(order=order).sort_values(
        ["part", "order"], ascending=[False, True], kind="stable", ignore_index=True
    )
    return rows.loc[:, ["part", "form", "against", "value", "low", "high", "unit", "outcome"]]


def draw(study: Study, ax: Place = None) -> Figure | None:
    """One panel; right of zero SPLIT writes better."""
    table = numbers(study)
    if table is None:
        return None
    with panels(ax, height=0.8 + 0.17 * len(table)) as shown:
        panel = shown.axes[0]
        labels = [
            f"{form_title(form)}, {rival}, {part}"
            for form, rival, part in zip(table.form, table.against, table.part, strict=True)
        ]
        forest(panel, table, labels, [OUTCOMES[outcome] for outcome in table.outcome])
        zero_lines(panel)
        panel.set_xlabel("SPLIT's harmonic mean less the rival's")
        found = [name for name in OUTCOMES if name in set(table.outcome)]
        shown.legend([key(WORDS[name], OUTCOMES[name], linestyle="-") for name in found])
        shown.caption("With 95 % over queries and seeds; outcomes are corrected for how many tests a study has.")
    return shown.figure
