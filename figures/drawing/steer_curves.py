"""A steer's curve, as table and as lines: means over pairs, the paper's curve, and what it predicted while held out.

The axis is the relative shift ‖shift‖/‖h‖ with the sign of m, on which forms with different scales of m can be compared.
It is read off the sweep, between multipliers on a straight line.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analyses.studies.finished import Study
from mechsteer.curves.reading import read_curve
from mechsteer.measuring.sweeps import Sweep

from .panels import key, wide_axis, with_intervals, zero_lines
from .saved import means
from .style import BLACK, Look

COLUMNS = [
    "quantity", "kind", "name", "multiplier", "relative_shift", "value", "low", "high", "unit",
    "n_parameters", "held_out_error", "paper_held_out_error",
]  # fmt: skip
"""Of a steer's curve with what belongs to it: a name is of a property of the curve, or of a rival."""
SHIFT = r"relative shift $\|\mathrm{shift}\|/\|h\|$, with the sign of $m$"
"""The axis's label."""
POINTS_PER_STEP = 10
"""Of the curve, between two multipliers that were swept."""
FOOT = 0.14
"""Of a panel's height, below its curve, for bars along x."""
HELD_OUT = "_"
"""A dash under the points: seen as far as a prediction was not met."""


def curve_table(study: Study, sweep: Sweep, quantity: str) -> pd.DataFrame:
    """Rows of three kinds, "measured", "fit" and "held out" (nats); the latter two only where there is a fit."""
    m = sweep.multipliers
    tables = [means(getattr(sweep, quantity)).assign(kind="measured", multiplier=m)]
    fit = study.fits.get(sweep.key, {}).get(quantity)
    if fit is not None and fit["ok"]:
        steps = np.linspace(0, len(m) - 1, POINTS_PER_STEP * (len(m) - 1) + 1)
        dense = np.interp(steps, np.arange(len(m)), m)
        held_out = np.array(fit["held_out_predictions"], dtype=np.float64)
        tables.append(pd.DataFrame({"kind": "fit", "multiplier": dense, "value": read_curve(fit)(dense)}))
        tables.append(pd.DataFrame({"kind": "held out", "multiplier": m, "value": held_out}).dropna())
    table = pd.concat(tables, ignore_index=True)
    table["relative_shift"] = sweep.signed_shift_at(table.multiplier.to_numpy())
    columns = ["quantity", "kind", "multiplier", "relative_shift", "value", "low", "high", "unit"]
    return table.assign(quantity=quantity, unit="nats").loc[:, columns]


def property_table(study: Study, sweep: Sweep, quantity: str, names: Iterable[str]) -> pd.DataFrame:
    """Where the curve does something, as measured, in relative shifts; there is no value for what lies beyond the sweep."""
    properties = study.fits.get(sweep.key, {}).get(quantity, {}).get("properties", {})
    rows = []
    for name in names:
        if found := properties.get(name):
            numbers = np.array([found["estimate"], *(found["interval"][end] for end in ("low", "high"))], np.float64)
            rows.append((quantity, "property", name, *sweep.signed_shift_at(numbers), "relative shift"))
    return pd.DataFrame(rows, columns=["quantity", "kind", "name", "value", "low", "high", "unit"])


def useful_shift(study: Study, sweeps: Iterable[Sweep]) -> float:
    """The longest shift at which any of these steers loses half a nat; the activation's own length where none does."""
    names = ("half_nat_negative", "half_nat_positive")
    values = [property_table(study, sweep, "utility", names)["value"].to_numpy(np.float64) for sweep in sweeps]
    shifts = np.abs(np.concatenate(values))
    return min(1.0, float(np.nanmax(shifts))) if np.isfinite(shifts).any() else 1.0


def draw_curve(ax: Axes, table: pd.DataFrame, look: Look, *, size: float = 2.6) -> None:
    """Points with 95 % intervals, the curve as a line, and a dash where a multiplier was predicted while held out."""
    kinds = dict(tuple(table.groupby("kind")))
    with_intervals(ax, kinds["measured"].relative_shift, kinds["measured"], look, markersize=size, markeredgewidth=0)
    if "fit" in kinds:
        ax.plot(kinds["fit"].relative_shift, kinds["fit"].value, color=look.colour, linestyle=look.line)
        held_out = kinds["held out"]
        ax.plot(
            held_out.relative_shift, held_out.value, HELD_OUT, color=look.colour, markersize=2 * size,
            markeredgewidth=0.8, zorder=1.5,
        )  # fmt: skip


def curve_keys(look: Look, equation: str) -> list[Line2D]:
    """What the marks of `draw_curve` mean."""
    return [
        key("mean of pairs", look, linestyle="-", linewidth=0.7),
        key(equation, look, line=True),
        key("predicted unseen", Look(look.colour, HELD_OUT), markersize=6, markeredgewidth=0.9),
    ]


def mark_intervals(ax: Axes, value: Iterable[float], low: Iterable[float], high: Iterable[float]) -> None:
    """Where something lies along x, below all that is drawn: a diamond in a bar from `low` to `high`, each beside the last."""
    least, most = ax.get_ylim()
    ax.set_ylim(least - FOOT * (most - least), most)
    for index, (at, *ends) in enumerate(zip(value, low, high, strict=True)):
        settings: dict[str, Any] = {"color": BLACK, "transform": ax.get_xaxis_transform(), "zorder": 3}
        height = (0.25 + 0.4 * (index % 2)) * FOOT
        ax.plot(ends, [height] * 2, "|-", linewidth=0.9, markersize=4, **settings)
        ax.plot(at, height, "D", markersize=2.4, **settings)


def interval_key(label: str) -> Line2D:
    """What the bars of `mark_intervals` mean."""
    return key(label, Look(BLACK, "D"), linestyle="-", linewidth=0.9, markersize=2.4)


def shift_axis(ax: Axes, table: pd.DataFrame, useful: float = 1.0) -> None:
    """Even up to a useful shift, or to one as long as the activation itself; by decades beyond."""
    zero_lines(ax)
    wide_axis(ax.xaxis, useful, table.relative_shift, steps=(1, 3))
    ax.set_xlim(1.1 * min(table.relative_shift.min(), 0), 1.1 * max(table.relative_shift.max(), 0))
