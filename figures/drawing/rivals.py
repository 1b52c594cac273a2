"""The paper's curve against its rivals: by how much each one's error on unseen multipliers is larger."""

import pandas as pd
from matplotlib.axes import Axes

from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .forest import forest
from .panels import wide_axis, zero_lines
from .saved import of_steer
from .style import OUTCOMES

COMPARED = ("rival", "spline")
"""Kinds of rows that are drawn: what might be the truth, and what prediction without theory reaches."""


def rivals_table(study: Study, claim: str, subject: Key | None) -> pd.DataFrame:
    """A row for each rival, the best first; `value` is its error on unseen blocks less that of the paper's curve (nats)."""
    table = of_steer(study, f"{claim}-rivals", subject)
    if table is None:
        return pd.DataFrame()
    rows = table.rename(columns={"rival": "name", "difference": "value"}).sort_values("value")
    return rows.loc[rows.kind.isin(COMPARED)].assign(unit="nats")


def draw_rivals(ax: Axes, rows: pd.DataFrame, equation: str) -> None:
    """Left of zero a rival predicts better than the paper's curve, which speaks against that curve."""
    if rows.empty:
        ax.annotate(
            f"{equation} could not be fitted,\nso no rival was compared",
            (0.5, 0.5),
            xycoords="axes fraction",
            ha="center",
        )
        ax.set_axis_off()
        return
    looks = [
        OUTCOMES[
            "inconclusive"
            if kind == "spline"
            else "refuted"
            if high < 0
            else "supported"
            if low > 0
            else "inconclusive"
        ]
        for kind, low, high in zip(rows.kind, rows.low, rows.high, strict=True)
    ]
    labels = [
        f"{name} ({n:.0f})" if kind == "rival" else name
        for name, n, kind in zip(rows["name"], rows.n_parameters, rows.kind, strict=True)
    ]
    forest(ax, rows, labels, looks)
    zero_lines(ax)
    wide_axis(ax.xaxis, 0.3, rows[["low", "high"]], steps=(1, 3))
    paper = rows.paper_held_out_error.iloc[0]
    ax.set_xlabel(
        f"held-out error less that of {equation} (nats, 95 %)\n"
        f"left: better than {equation}, which errs by {paper:.2g} nats"
    )
