"""The slope of preference and the projection ω_pᵀΔh: pair by pair at zero, and beside the slope of the linear region."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.forest import forest
from .drawing.panels import Place, key, panels, zero_lines
from .drawing.saved import means, of_steer
from .drawing.style import BLACK, GREY, QUANTITIES, Look

NAME = "projection_gain"
ORDER = 140
SCOPE = "steer"

PAIR, EQUAL = QUANTITIES["preference"], Look(GREY, "", ":")
LOOKS = (PAIR, Look(GREY, "D"), Look(BLACK, "s"), Look(BLACK, "^"))
"""Of the projection, random directions, the slope at zero, and that of the line."""


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """A row for each pair, and the means with intervals (nats per unit of m); random directions as their central 95 %."""
    pairs, slopes, random = (
        of_steer(study, f"projection_gain-{name}", subject) for name in ("pairs", "slopes", "random")
    )
    if pairs is None or slopes is None or random is None:
        return None
    projection = means(pairs[["projection"]].to_numpy().T).assign(name="projection")
    low, middle, high = random.projection.quantile([0.025, 0.5, 0.975])
    parts = [
        pairs.assign(kind="pair"),
        projection.assign(kind="mean"),
        pd.DataFrame([{"kind": "random directions", "value": middle, "low": low, "high": high}]),
        slopes.rename(columns={"slope": "name", "nats_per_unit": "value"}).assign(kind="slope"),
    ]
    return pd.concat(parts, ignore_index=True).assign(subject=pairs.subject.iloc[0], unit="nats per unit of m")


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """Two panels: pairs at zero; means with 95 % intervals."""
    table = numbers(study, subject)
    if table is None:
        return None
    with panels(ax, 2, height=3.9, ratios=(2.2, 1)) as shown:
        _draw_pairs(shown.axes[0], table.loc[table.kind == "pair"])
        _draw_means(shown.axes[1], table)
        shown.legend([key("a pair", PAIR, fillstyle="none"), key("equal", EQUAL, line=True)])
        shown.caption(
            f"{table.subject.iloc[0]}.",
            "(b) Means with 95 % intervals; for random directions of equal norm, the central 95 %.",
        )
    return shown.figure


def _draw_pairs(ax: Axes, pairs: pd.DataFrame) -> None:
    zero_lines(ax, y=True)
    ends = [pairs[["projection", "slope"]].min().min(), pairs[["projection", "slope"]].max().max()]
    ax.plot(ends, ends, color=EQUAL.colour, linestyle=EQUAL.line)
    ax.plot(pairs.projection, pairs.slope, PAIR.marker, color=PAIR.colour, fillstyle="none", markeredgewidth=0.6)
    ax.set_xlabel(r"projection $\omega_p^\top\Delta h$ (nats per unit of $m$)")
    ax.set_ylabel("slope at zero (nats per unit of $m$)")


def _draw_means(ax: Axes, table: pd.DataFrame) -> None:
    rows = table.loc[table.kind.isin(["mean", "random directions", "slope"])]
    labels = {"mean": r"projection $\omega_p^\top\Delta h$", "random directions": "random directions"}
    names = [labels.get(str(kind), str(name)) for kind, name in zip(rows.kind, rows["name"], strict=True)]
    forest(ax, rows, names, LOOKS[: len(rows)])
    zero_lines(ax)
    ax.set_xlabel("nats per unit of $m$")
