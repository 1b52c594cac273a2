"""SPLIT's texts against every other method's in the same form, by a judge's harmonic mean, at three multipliers."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.evidence.comparison import ONE_SEED
from analyses.studies.finished import Study
from mechsteer.families import form_title

from .drawing.forest import forest
from .drawing.panels import Place, key, panels, zero_lines
from .drawing.saved import claims, measured_on, saved
from .drawing.style import OUTCOMES, form_order

NAME = "judged_wins"
ORDER = 101

WORDS = {"supported": "SPLIT scores more", "refuted": "SPLIT scores less", "inconclusive": "inconclusive"}


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each place, form and rival, as claimed: SPLIT's harmonic mean less the rival's."""
    rows, frontier = claims(study), saved(study, "frontier")
    rows = rows.loc[rows.claim == "judged_wins"]
    if rows.empty or frontier is None:
        return None
    order = rows.form.map(form_order)
    rows = rows.assign(order=order, n_seeds=frontier.n_seeds.max()).sort_values(
        ["part", "order"], ascending=[False, True], kind="stable", ignore_index=True
    )
    return rows.loc[:, ["part", "form", "against", "value", "low", "high", "unit", "n_seeds", "outcome"]]


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
        panel.set_xlabel("SPLIT's score less the rival's (of 1)")
        found = [name for name in OUTCOMES if name in set(table.outcome)]
        shown.legend([key(WORDS[name], OUTCOMES[name], linestyle="-") for name in found])
        seeds = int(table.n_seeds.max())
        over = "queries" if seeds == 1 else f"queries and {seeds} seeds"
        shown.caption(
            measured_on(study),
            "A score is the harmonic mean of a judge's aspects. Multipliers: m = 1; where half a nat of utility is lost; and "
            "the steer's best by the other half of the queries.",
            f"With 95 % intervals over {over}; outcomes are corrected for multiple tests.",
            ONE_SEED.strip() if seeds == 1 else "",
        )
    return shown.figure
