"""The claims as one forest plot: every estimate with its interval, and what it came to."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study

from .drawing import saved as tables
from .drawing.forest import forest
from .drawing.panels import Place, key, panels, wide_axis, zero_lines
from .drawing.style import GREY, OUTCOMES, Look, form_title

NAME = "claims"
ORDER = 10

UNITS = {
    "R²": "R²", "share": "", " / ": "ratio", "times": "ratio", "correlation": "r", "cosine": "cos", "shift": "‖shift‖/‖h‖",
}  # fmt: skip
"""Short words for a unit that holds these."""
LONGEST = 12
"""Letters of a unit that have room beside the panel; a longer one that has no short word is told by the numbers alone."""


def numbers(study: Study) -> pd.DataFrame | None:
    """Every claim as it stands in claims.json, under the name that the figure gives it."""
    table = tables.claims(study)
    return None if table.empty else table.assign(label=_labels(table)).drop(columns="key")


def draw(study: Study, ax: Place = None) -> Figure | None:
    """One panel, a row for each claim; its axis is even up to one and by decades beyond, for claims have many units."""
    table = numbers(study)
    if table is None:
        return None
    parts = []
    for analysis, rows in table.groupby("claim", sort=False):
        parts += [pd.DataFrame([{"label": str(analysis), "value": np.nan, "low": np.nan, "high": np.nan}]), rows]
    shown_rows = pd.concat(parts, ignore_index=True)
    with panels(ax, height=0.9 + 0.125 * len(shown_rows)) as shown:
        panel = shown.axes[0]
        looks = [OUTCOMES.get(outcome, Look(GREY, "")) for outcome in shown_rows.outcome]
        forest(panel, shown_rows, shown_rows.label.tolist(), looks, size=3.2)
        for text, is_head in zip(panel.get_yticklabels(), shown_rows.claim.isna(), strict=True):
            text.set(fontsize=5.8, fontweight="bold" if is_head else "normal")
        zero_lines(panel)
        wide_axis(panel.xaxis, 1.0, table[["low", "high"]], steps=(1, 3))
        for height, row in shown_rows.dropna(subset="claim").iterrows():
            panel.annotate(
                _words(row.value, row.low, row.high, row.unit), (1.04, float(str(height))), va="center", fontsize=5.8,
                xycoords=("axes fraction", "data"), annotation_clip=False,
            )  # fmt: skip
        panel.set_xlabel("estimate, 95 %, each in its unit")
        shown.legend([key(outcome, look, linestyle="-") for outcome, look in OUTCOMES.items()])
    return shown.figure


def _labels(table: pd.DataFrame) -> pd.Series:
    """The part; where claims of an analysis share it, the steer, and then what it was compared with."""
    steers = table.key.map(lambda key: " ".join(part for part in (key.method, form_title(key.form)) if part))
    labels = table.part
    for more in (", " + steers, " vs " + table.against):
        repeated = table.assign(label=labels).duplicated(["claim", "label"]) | (labels == "")
        needed = repeated.groupby(table.claim).transform("any")
        labels = labels.where(~needed, (labels + more).str.removeprefix(", ").str.removesuffix(" vs "))
    return labels.where(labels != "", "the model")


def _words(value: float, low: float, high: float, unit: str) -> str:
    if np.isnan(value):
        return "no estimate"
    short = next((short for part, short in UNITS.items() if part in unit), unit if len(unit) <= LONGEST else "")
    ends = ["open" if np.isnan(end) else f"{end:.2g}" for end in (low, high)]
    return f"{value:.2g} [{', '.join(ends)}] {short}".replace("-", "−")
