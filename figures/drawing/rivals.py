"""The paper's curve against its rivals: by how much each one's error on unseen multipliers is larger."""

import pandas as pd
from matplotlib.axes import Axes

from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .forest import forest
from .panels import wide_axis, zero_lines
from .saved import of_steer
from .style import BLACK, GREY, Look

COMPARED = {"rival": Look(BLACK, "o"), "spline": Look(GREY, "D")}
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
    labels = [
        f"{name} ({n:.0f})" if kind == "rival" else name
        for name, n, kind in zip(rows["name"], rows.n_parameters, rows.kind, strict=True)
    ]
    forest(ax, rows, labels, [COMPARED[kind] for kind in rows.kind])
    zero_lines(ax)
    wide_axis(ax.xaxis, 0.3, rows[["low", "high"]], steps=(1, 3))
    ax.set_xlabel(f"held-out error less {equation}'s (nats)")


def about_rivals(table: pd.DataFrame, equation: str) -> str:
    """What a caption says of that panel, the second."""
    rows = table.loc[table.kind.isin(COMPARED)]
    if rows.empty:
        return ""
    paper = rows.paper_held_out_error.iloc[0]
    return (
        f"(b) Each rival's error on held-out multipliers less that of {equation} ({paper:.2g} nats), with 95 % intervals: "
        "left of zero the rival predicts better. Its number of parameters is in brackets."
    )
