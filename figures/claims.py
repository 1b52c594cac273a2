"""The claims of a steer as a forest plot, a panel for each scale: every estimate with its interval, and what it came to."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses.claims import CLAIMS
from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing import saved as tables
from .drawing.forest import forest
from .drawing.panels import TALLEST, Place, key, panels, wide_axis, zero_lines
from .drawing.style import GREY, OUTCOMES, Look

NAME = "claims"
ORDER = 10
SCOPE = "steer"

CORRELATION, RATIO, SHARE = "rank correlation", "ratio", "share"
SCALES = {
    " / ": RATIO, "ratio": RATIO, "relative to": RATIO, "times": RATIO, "steering changes": RATIO, "R²": "R²",
    "correlation": CORRELATION, "τ": CORRELATION, "rank among": SHARE, "share": SHARE, "of the ": SHARE, "nats": "nats",
}  # fmt: skip
"""The scale of a unit that holds these words, the first of them; any other unit is a scale of its own."""
ROW, HEAD, LEGEND = 0.13, 0.5, 0.35
"""Inches of a row, of what a panel has besides, and of the legend."""


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """A steer's claims as they stand in claims.json, by scale, and with those of the first steer the model's.

    Checks of the software are left out, claims that compare steers, which have figures of their own, and what a page cannot hold.
    """
    table, steer = tables.claims(study), tables.steer_of(study, subject)
    is_own, is_first = table.key == steer, subject in (None, *study.judged[:1])
    compares = [name for name, member in CLAIMS.members().items() if member.get("SCOPE") == "study"]
    is_shown = is_own | (~table.key.isin(study.judged) & is_first)
    is_shown &= ~table.is_check.astype(bool) & ~table.claim.isin(compares)
    if not is_shown.any():
        return None
    table = table.assign(subject=table.subject.where(is_own)).loc[is_shown].drop(columns=["key", "is_check"])
    scale = [next((scale for words, scale in SCALES.items() if words in unit), unit) for unit in table.unit]
    table = _fitting(table.assign(label=_labels(table), scale=scale))
    order = list(dict.fromkeys(table.scale))
    return table.sort_values("scale", key=lambda found: found.map(order.index), kind="stable", ignore_index=True)


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """A panel for each scale, a row for each claim on it."""
    table = numbers(study, subject)
    if table is None:
        return None
    scales = dict(tuple(table.groupby("scale", sort=False)))
    lengths = [len(rows) for rows in scales.values()]
    with panels(ax, len(scales), height=_height(table.scale), ratios=lengths, stacked=True) as shown:
        for panel, (scale, rows) in zip(shown.axes, scales.items(), strict=True):
            _draw_scale(panel, rows)
            panel.set_xlabel(str(scale))
        found = [outcome for outcome in OUTCOMES if outcome in set(table.outcome)]
        shown.legend([key(outcome, OUTCOMES[outcome], linestyle="-") for outcome in found])
        left_out = int(table.left_out.iloc[0])
        shown.caption(
            *(f"{steer}." for steer in table.subject.dropna().unique()),
            "Estimates with 95 % intervals; outcomes are corrected for multiple tests.",
            f"Not shown for want of room: {left_out} more of claims.json." if left_out else "",
        )
    return shown.figure


def _height(scales: pd.Series) -> float:
    return LEGEND + HEAD * scales.nunique() + ROW * len(scales)


def _fitting(table: pd.DataFrame) -> pd.DataFrame:
    """The first rows, as many as stand on a page, and how many are `left_out`."""
    n = next(n for n in range(len(table), 0, -1) if n == 1 or _height(table.scale[:n]) <= TALLEST)
    return table.iloc[:n].assign(left_out=len(table) - n)


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
    """The claim and its part; where these are not one row's alone, what it was compared with too."""
    is_repeated = table.duplicated(["claim", "part"], keep=False) & (table.against != "")
    labels = table.part + (" vs " + table.against).where(is_repeated, "")
    return table.claim.str.replace("_", " ") + (": " + labels).where(labels != "", "")


def _words(value: float, low: float, high: float) -> str:
    if np.isnan(value):
        return "no estimate"
    ends = ["open" if np.isnan(end) else f"{end:.2g}" for end in (low, high)]
    return f"{value:.2g} [{', '.join(ends)}]".replace("-", "−")
