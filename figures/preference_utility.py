"""Preference and utility against the multiplier: what was measured, the fitted curves, and held-out points."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analyses.study import Study
from mechsteer.curves.reading import read_curve
from mechsteer.statistics import resampled_means
from mechsteer.sweeps import Sweep

from .style import BLUE, DOUBLE_COLUMN, GREY, VERMILION, style

QUANTITIES = {"preference": BLUE, "utility": VERMILION}


def draw(study: Study) -> Figure:
    """One panel each for preference and utility of the study's first sweep."""
    sweep = study.sweeps[0]
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(DOUBLE_COLUMN, 3.0), layout="constrained")
        for ax, panel, quantity in zip(axes, "ab", QUANTITIES, strict=True):
            draw_quantity(ax, sweep, study.fits[sweep.intervention][quantity], quantity)
            ax.set_title(panel, loc="left", fontweight="bold")
        figure.suptitle(
            f"{Path(study.summary['model']['name']).name}, {study.summary['pairs']['testing']['name']} "
            f"({len(sweep.pairs)} pairs), {sweep.intervention}",
            fontsize=8,
        )
        marks = [
            Line2D([], [], color=GREY, marker="o", markersize=3, linestyle="", label="mean over pairs, 95 % interval"),
            Line2D([], [], color=GREY, label="fit of the paper's curve"),
            Line2D([], [], color="black", marker="x", markersize=4, linestyle="", label="predicted while held out"),
        ]
        figure.legend(handles=marks, loc="outside lower center", ncols=3)
    return figure


def draw_quantity(ax: Axes, sweep: Sweep, fit: dict[str, Any], quantity: str) -> None:
    """Means over pairs with 95 % intervals, the curve, and what each held-out multiplier was predicted to be."""
    colour = QUANTITIES[quantity]
    values = getattr(sweep, quantity)
    values = values[:, np.isfinite(values).all(axis=0)]
    low, high = np.quantile(resampled_means(values, n_resamples=1000), [0.025, 0.975], axis=0)
    ax.axvline(0, color=GREY, linewidth=0.6)
    ax.fill_between(sweep.multipliers, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(sweep.multipliers, values.mean(axis=1), "o", color=colour, markersize=3)
    if fit["ok"]:
        dense = np.linspace(sweep.multipliers[0], sweep.multipliers[-1], 1000)
        ax.plot(dense, read_curve(fit)(dense), color=colour)
        held_out = [np.nan if value is None else value for value in fit["held_out_predictions"]]
        ax.plot(sweep.multipliers, held_out, "x", color="black", markersize=4, markeredgewidth=0.7)
        note = f"$R^2$ {fit['score']['r_squared']:.4f}\nheld out {fit['score']['held_out_r_squared']:.4f}"
    else:
        note = f"no fit:\n{fit['status'].lower().replace('_', ' ')}"
    ax.annotate(note, (0.03, 0.95), xycoords="axes fraction", va="top", fontsize=7)
    ax.set_xlabel("multiplier $m$")
    ax.set_ylabel(f"{quantity} log-odds (nats)")
    # A relative shift is |m| times what it is at m = 1, whatever the form: h is read before the shift.
    unit = float(sweep.relative_shift[-1].mean() / abs(sweep.multipliers[-1]))
    if unit > 0:
        above = ax.secondary_xaxis(
            "top", functions=(lambda m: np.asarray(m) * unit, lambda shift: np.asarray(shift) / unit)
        )
        above.set_xlabel(r"$\|m\Delta h\|/\|h\|$ with the sign of $m$")
