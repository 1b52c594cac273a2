"""SPLIT against every other method in the same form: the difference of what they gain at an equal loss of utility."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.evidence.comparison import ONE_SEED
from analyses.studies.finished import Study
from mechsteer.families import form_title

from .drawing.forest import forest
from .drawing.panels import Place, key, panels, wide_axis, zero_lines
from .drawing.saved import claims, measured_on, saved
from .drawing.style import OUTCOMES, form_order

NAME = "split_wins"
ORDER = 100

WORDS = {"supported": "SPLIT gains more", "refuted": "SPLIT gains less", "inconclusive": "inconclusive"}


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each form and rival, as claimed: SPLIT's mean gain over budgets less the rival's (nats)."""
    judged, frontier = claims(study), saved(study, "frontier")
    judged = judged.loc[judged.claim == "split_wins"]
    if judged.empty or frontier is None:
        return None
    rows = judged.assign(n_seeds=frontier.n_seeds.max())
    rows = rows.sort_values("form", kind="stable", key=lambda forms: forms.map(form_order), ignore_index=True)
    return rows.loc[:, ["form", "against", "value", "low", "high", "unit", "n_seeds", "outcome"]]


def draw(study: Study, ax: Place = None) -> Figure | None:
    """One panel; right of zero SPLIT gains more."""
    table = numbers(study)
    if table is None:
        return None
    with panels(ax, height=0.8 + 0.17 * len(table)) as shown:
        panel = shown.axes[0]
        labels = [f"{form_title(form)}, against {rival}" for form, rival in zip(table.form, table.against, strict=True)]
        wide_axis(panel.xaxis, 1.0, table[["low", "high"]], steps=(1, 3))
        forest(panel, table, labels, [OUTCOMES[outcome] for outcome in table.outcome])
        zero_lines(panel)
        seeds = int(table.n_seeds.max())
        over = "pairs" if seeds == 1 else f"pairs and {seeds} seeds"
        panel.set_xlabel("SPLIT's mean gain less the rival's (nats)")
        found = [name for name in OUTCOMES if name in set(table.outcome)]
        shown.legend([key(WORDS[name], OUTCOMES[name], linestyle="-") for name in found])
        shown.caption(
            measured_on(study),
            f"Means over losses up to half a nat, with 95 % intervals over {over}; outcomes are corrected for multiple tests.",
            ONE_SEED.strip() if seeds == 1 else "",
        )
    return shown.figure
