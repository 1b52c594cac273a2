"""The claims as a forest plot, a panel for each scale: every estimate with its interval, and what it came to."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.families import form_title

from .drawing import saved as tables
from .drawing.forest import forest
from .drawing.panels import Place, key, panels, wide_axis, zero_lines
from .drawing.style import GREY, OUTCOMES, Look

NAME = "claims"
ORDER = 10

AGREEMENT, RATIO = "R², correlation or rank", "ratio or share"
SCALES = {
    " / ": RATIO, "R²": AGREEMENT, "correlation": AGREEMENT, "rank": AGREEMENT, "τ": AGREEMENT, "times": RATIO,
    "share": RATIO, "of the ": RATIO, "nats": "nats",
}  # fmt: skip
"""The scale of a unit that holds these words, the first of them; any other unit is a scale of its own."""
ROW, HEAD = 0.13, 0.55
"""Inches of a row, and of what a panel has besides."""


def numbers(study: Study) -> pd.DataFrame | None:
    """Every claim as it stands in claims.json, under the name that the figure gives it, by scale."""
    table = tables.claims(study)
    if table.empty:
        return None
    scale = [next((scale for words, scale in SCALES.items() if words in unit), unit) for unit in table.unit]
    table = table.assign(label=_labels(table), scale=scale).drop(columns="key")
    return table.sort_values("scale", key=lambda found: found.map(list(dict.fromkeys(scale)).index), kind="stable")


def draw(study: Study, ax: Place = None) -> Figure | None:
    """A panel for each scale, a row for each claim on it."""
    table = numbers(study)
    if table is None:
        return None
    scales = dict(tuple(table.groupby("scale", sort=False)))
    heights = [HEAD + ROW * len(rows) for rows in scales.values()]
    with panels(ax, len(scales), height=0.3 + sum(heights), ratios=heights, stacked=True) as shown:
        for panel, (scale, rows) in zip(shown.axes, scales.items(), strict=True):
            _draw_scale(panel, rows)
            panel.set_xlabel(str(scale))
        found = [outcome for outcome in OUTCOMES if outcome in set(table.outcome)]
        shown.legend([key(outcome, OUTCOMES[outcome], linestyle="-") for outcome in found])
        shown.caption("Estimates with 95 %; outcomes are corrected for how many tests a study has.")
    return shown.figure


def _draw_scale(ax: Axes, rows: pd.DataFrame) -> None:
    forest(ax, rows, rows.label.tolist(), [OUTCOMES.get(outcome, Look(GREY, "")) for outcome in rows.outcome], size=3.2)
    ax.tick_params(axis="y", labelsize=6.2)
    zero_lines(ax)
    wide_axis(ax.xaxis, 1.0, rows[["low", "value", "high"]], steps=(1, 3))
    for height, words in enumerate(map(_words, rows.value, rows.low, rows.high)):
        ax.annotate(
            words, (1.03, height), xycoords=("axes fraction", "data"), va="center",
            fontsize=6.2, annotation_clip=False,
        )  # fmt: skip


def _labels(table: pd.DataFrame) -> pd.Series:
    """The claim; where claims of an analysis share a part, the steer too, and then what it was compared with."""
    steers = table.key.map(lambda key: " ".join(part for part in (key.method, form_title(key.form)) if part))
    labels = table.part
    for more in (", " + steers, " vs " + table.against):
        repeated = table.assign(label=labels).duplicated(["claim", "label"])
        needed = repeated.groupby(table.claim).transform("any")
        labels = labels.where(~needed, (labels + more).str.removeprefix(", ").str.removesuffix(" vs "))
    return table.claim.str.replace("_", " ") + (": " + labels).where(labels != "", "")


def _words(value: float, low: float, high: float) -> str:
    if np.isnan(value):
        return "no estimate"
    ends = ["open" if np.isnan(end) else f"{end:.2g}" for end in (low, high)]
    return f"{value:.2g} [{', '.join(ends)}]".replace("-", "−")
