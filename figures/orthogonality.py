"""What a steer does to utility, beside what random directions of its norm do, and beside what it does to preference."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses.claims.orthogonality import SMALL, SPECIAL
from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.forest import forest
from .drawing.panels import Place, panels, plain_numbers, wide_axis, zero_lines
from .drawing.saved import of_steer
from .drawing.style import BLACK, GREY, LIGHT, QUANTITIES, Look

NAME = "orthogonality"
ORDER = 150
SCOPE = "steer"

STEER = QUANTITIES["utility"]
N_BINS = 40
HEIGHT = 1.1
"""Of the steer, over the highest bar."""


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """The steer's effects with intervals, and the share of random directions with each effect on utility (nats per unit of m)."""
    effects = of_steer(study, "orthogonality-effects", subject)
    random = of_steer(study, "orthogonality-random", subject)
    if effects is None or random is None:
        return None
    steer = effects.rename(columns={"estimate": "value", "quantity": "name"}).assign(kind="steer")
    counts, edges = np.histogram(random.effect, N_BINS)
    bars = pd.DataFrame({"from_effect": edges[:-1], "to_effect": edges[1:], "value": counts / len(random)})
    bars = bars.assign(kind="random directions", subject=random.subject.iloc[0])
    return pd.concat([steer, bars], ignore_index=True)


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """A panel for the effect on utility among random directions, and one for its ratio to that on preference."""
    table = numbers(study, subject)
    if table is None:
        return None
    with panels(ax, 2, height=3.1, ratios=[1.4, 0.6]) as shown:
        _draw_effects(shown.axes[0], table)
        _draw_ratio(shown.axes[1], table.loc[table["name"] == "ratio"])
        shown.caption(
            f"{table.subject.iloc[0]}, with 95 % intervals over pairs.",
            f"(a) Grey: random directions of its norm, {100 * SPECIAL:.0f} % of which are left of the dashes.",
            f"(b) Grey: small, within {SMALL:g}.",
        )
    return shown.figure


def _draw_effects(ax: Axes, table: pd.DataFrame) -> None:
    bars = table.loc[table.kind == "random directions"]
    heights = bars.value / bars.value.max()
    ax.bar(bars.from_effect, heights, width=bars.to_effect - bars.from_effect, align="edge", color=LIGHT)
    row = table.loc[table["name"] == "projection"].iloc[0]
    ax.axvline(row.random_limit, color=GREY, linewidth=0.8, linestyle="--")
    ax.hlines(HEIGHT, row.low, row.high, color=STEER.colour)
    ax.plot(row.value, HEIGHT, STEER.marker, color=STEER.colour, markersize=4)
    ax.set_yticks([HEIGHT], ["steer"])
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    ax.set_xlim(left=0)
    ax.set_ylim(0, 1.25)
    plain_numbers(ax.xaxis)
    ax.set_xlabel(r"$|\omega_u^\top \Delta h|$ (nats of utility per unit of $m$)")


def _draw_ratio(ax: Axes, table: pd.DataFrame) -> None:
    ax.axvspan(-SMALL, SMALL, color=LIGHT, alpha=0.6, linewidth=0, zorder=-1)
    if np.isfinite(table.value).all():
        forest(ax, table, ["steer"], [Look(BLACK, "o")])
        wide_axis(ax.xaxis, 1.0, table[["low", "high"]])
    else:
        ax.set_yticks([])
        ax.annotate(
            "undefined: preference may not change",
            (0.5, 0.5),
            xycoords="axes fraction",
            ha="center",
            va="center",
        )
    zero_lines(ax)
    ax.set_xlabel("nats of utility per nat of preference")
