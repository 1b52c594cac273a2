"""Values of the toolkit on axes, for notebooks: a sweep, a fitted curve, a frontier."""

from functools import singledispatch
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mechsteer.curves.fit import CurveFit
from mechsteer.errors import InputError
from mechsteer.measuring.frontier import Frontier
from mechsteer.measuring.sweeps import Sweep

from .panels import plain_numbers, with_intervals, zero_lines
from .saved import means
from .steer_curves import HELD_OUT
from .style import BLACK, QUANTITIES, Look, style

MULTIPLIER = "multiplier $m$"


def plot_value(value: Any, ax: Axes | None) -> Axes:
    """On these axes, or on new ones of pyplot's, which a notebook shows."""
    with style():
        if ax is None:
            from matplotlib import pyplot

            _, ax = pyplot.subplots(layout="constrained")
        _draw(value, ax)
    return ax


@singledispatch
def _draw(value: Any, ax: Axes) -> None:
    raise InputError(f"A {type(value).__name__} has no plot. Pass a Sweep, a CurveFit or a Frontier.")


@_draw.register
def _(value: Sweep, ax: Axes) -> None:
    """Both log-odds since m = 0, so that they share an axis."""
    for quantity, look in QUANTITIES.items():
        rows = means(getattr(value, quantity) - getattr(value, quantity)[value.zero])
        with_intervals(ax, value.multipliers, rows, look, linestyle=look.line, label=quantity)
    zero_lines(ax, y=True)
    ax.set_xlabel(MULTIPLIER)
    ax.set_ylabel("change of log-odds (nats, 95 %)")
    ax.legend()


@_draw.register
def _(value: CurveFit, ax: Axes) -> None:
    """What was measured, the curve, and what it predicted of multipliers that it had not seen."""
    look, half = QUANTITIES[value.quantity], 1.96 * value.standard_errors
    rows = pd.DataFrame({"value": value.mean, "low": value.mean - half, "high": value.mean + half})
    with_intervals(ax, value.multipliers, rows, look, label="mean of pairs, 95 %")
    if value.curve is not None:
        dense = np.linspace(value.multipliers[0], value.multipliers[-1], 200)
        ax.plot(dense, value.curve(dense), color=look.colour, label="the paper's curve")
        ax.plot(
            value.multipliers,
            value.held_out_predictions,
            HELD_OUT,
            color=look.colour,
            markersize=6,
            label="predicted unseen",
        )
    zero_lines(ax)
    ax.set_xlabel(MULTIPLIER)
    ax.set_ylabel(f"{value.quantity} log-odds (nats)")
    ax.legend()


@_draw.register
def _(value: Frontier, ax: Axes) -> None:
    """Preference gained at each loss of utility."""
    intervals = [value.interval(budget) for budget in value.budgets]
    ends = {end: [getattr(interval, end) for interval in intervals] for end in ("low", "high")}
    with_intervals(ax, value.budgets, pd.DataFrame({"value": value.gained} | ends), Look(BLACK, "o"), linestyle="-")
    ax.set_xscale("log", base=2)
    ax.set_xticks(value.budgets)
    plain_numbers(ax.xaxis)
    ax.set_xlabel("utility lost (nats)")
    ax.set_ylabel("preference gained (nats, 95 %)")
