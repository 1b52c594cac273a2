"""Cosines of the readouts and the shift beside those of random directions, and what a steer does to utility per preference."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses.claims.orthogonality import SMALL
from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.forest import forest
from .drawing.panels import Place, panels, wide_axis, zero_lines
from .drawing.saved import of_steer
from .drawing.style import BLACK, BLUE, GREEN, GREY, LIGHT, VERMILION, Look

NAME = "orthogonality"
ORDER = 150
SCOPE = "steer"

QUANTITIES = {
    "cos(ω_u, Δh)": (r"$\cos(\omega_u, \Delta h)$", Look(VERMILION, "o")),
    "cos(ω_p, Δh)": (r"$\cos(\omega_p, \Delta h)$", Look(BLUE, "s")),
    "cos(ω_p, ω_u)": (r"$\cos(\omega_p, \omega_u)$", Look(GREEN, "^")),
}
RATIO = "ω_uᵀΔh / ω_pᵀΔh"
HEIGHTS = (1.8, 1.5, 1.2)
EDGES = np.linspace(-1, 1, 61)


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """Estimates with intervals by method, and how many random directions fall between two cosines against ω_u."""
    cosines, random = of_steer(study, "orthogonality-cosine", subject), of_steer(study, "orthogonality-random", subject)
    if cosines is None or random is None:
        return None
    parts = [cosines.rename(columns={"estimate": "value", "quantity": "name"}).assign(kind="estimate")]
    for readout, rows in random.groupby("readout", sort=False):
        counts = np.histogram(rows.cosine, EDGES)[0] / len(rows)
        columns = {"from_cosine": EDGES[:-1], "to_cosine": EDGES[1:], "value": counts}
        parts.append(
            pd.DataFrame(columns).assign(kind="random directions", readout=readout, subject=rows.subject.iloc[0])
        )
    return pd.concat(parts, ignore_index=True)


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """A panel for each way of finding the readouts, and one for the ratio of the effects."""
    table = numbers(study, subject)
    if table is None:
        return None
    readouts = list(dict.fromkeys(table.readout))
    with panels(ax, len(readouts) + 1, height=1.7 * len(readouts) + 1.4, ratios=[1.4] * len(readouts) + [0.8]) as shown:
        for panel, readout in zip(shown.axes, readouts, strict=False):
            _draw_cosines(panel, table.loc[table.readout == readout])
            panel.set_title(f"readouts by {readout}")
        shown.axes[len(readouts) - 1].set_xlabel("cosine; grey: random directions, dashed: 95 % of them")
        _draw_ratio(shown.axes[-1], table.loc[(table.kind == "estimate") & (table["name"] == RATIO)])
        shown.title(table.subject.iloc[0])
    return shown.figure


def _draw_cosines(ax: Axes, table: pd.DataFrame) -> None:
    null = table.loc[table.kind == "random directions"]
    ax.bar(null.from_cosine, null.value / null.value.max(), width=EDGES[1] - EDGES[0], align="edge", color=LIGHT)
    rows = table.loc[table.kind == "estimate"].set_index("name")
    limit = rows.random_limit["cos(ω_u, Δh)"]
    for end in (-limit, limit):
        ax.axvline(end, color=GREY, linewidth=0.8, linestyle="--")
    for height, (name, (_, look)) in zip(HEIGHTS, QUANTITIES.items(), strict=True):
        row = rows.loc[name]
        if np.isfinite(row.value):
            ax.hlines(height, row.low, row.high, color=look.colour)
            ax.plot(row.value, height, look.marker, color=look.colour, markersize=4)
        else:
            ax.annotate(
                "undefined: all noise",
                (0, height),
                ha="center",
                va="center",
                fontsize=6,
                color=GREY,
                backgroundcolor="white",
            )
    ax.set_yticks(HEIGHTS, [words for words, _ in QUANTITIES.values()])
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    ax.set_xlim(-1, 1)
    ax.set_ylim(0, 2.0)


def _draw_ratio(ax: Axes, table: pd.DataFrame) -> None:
    ax.axvspan(-SMALL, SMALL, color=LIGHT, alpha=0.6, linewidth=0, zorder=-1)
    forest(ax, table, [f"by {readout}" for readout in table.readout], [Look(BLACK, "o")] * len(table))
    zero_lines(ax)
    wide_axis(ax.xaxis, 1.0, table[["low", "high"]])
    ax.set_xlabel(f"nats of utility per nat of preference (95 %)\ngrey: small, within {SMALL:g}")
