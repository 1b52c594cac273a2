"""The frontier by form and method: preference gained at an equal loss of utility, and the relative shift it takes."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from analyses.study import Study

from .style import DOUBLE_COLUMN, GREEN, GREY, ORANGE, VERMILION, style

METHODS = {
    "DiffMean": (GREY, "s"),
    "Random": ("black", "x"),
    "SFT": (ORANGE, "^"),
    "RePS": (GREEN, "D"),
    "SPLIT": (VERMILION, "o"),
}


def draw(study: Study) -> Figure | None:
    """A panel for each form: gain against budget, with 95 % intervals; None where the study has no frontier."""
    if not (study.folder / "frontier.parquet").exists():
        return None
    table = study.table("frontier")
    forms = list(dict.fromkeys(table.form))
    with style():
        figure, axes = plt.subplots(
            2, len(forms), figsize=(DOUBLE_COLUMN, 4.4), layout="constrained", sharey="row", squeeze=False
        )
        for column, form in enumerate(forms):
            rows = table.loc[table.form == form]
            _draw_gain(axes[0, column], rows)
            _draw_shift(axes[1, column], rows)
            axes[0, column].set_title(form.replace("_", " "))
        axes[0, 0].set_ylabel("preference gained (nats)")
        axes[1, 0].set_ylabel(r"$\|m\Delta h\|/\|h\|$ it takes")
        labelled = [ax.get_legend_handles_labels() for ax in axes[0]]
        handles = {name: handle for pair in labelled for handle, name in zip(*pair, strict=True)}
        seeds = int(table.n_seeds.max())
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles))
        figure.suptitle(
            f"gain at an equal loss of utility, mean of both directions; 95 % over pairs"
            f"{f' and {seeds} training seeds' if seeds > 1 else ''}",
            fontsize=8,
        )
    return figure


def _draw_gain(ax: plt.Axes, table: pd.DataFrame) -> None:
    for offset, (method, (colour, marker)) in enumerate(METHODS.items()):
        rows = table[(table.method == method) & table.budget.notna()]
        if len(rows):
            x = rows.budget * (1 + 0.05 * (offset - 1.5))
            error = [rows.gained - rows.low, rows.high - rows.gained]
            ax.errorbar(
                x, rows.gained, yerr=error, color=colour, marker=marker, markersize=3.5, capsize=1.5, label=method
            )
    _budget_axis(ax)


def _draw_shift(ax: plt.Axes, table: pd.DataFrame) -> None:
    for method, (colour, marker) in METHODS.items():
        rows = table[(table.method == method) & table.budget.notna()]
        if len(rows):
            mean = (rows.relative_shift_negative + rows.relative_shift_positive) / 2
            ax.plot(rows.budget, mean, color=colour, marker=marker, markersize=3.5)
    _budget_axis(ax)
    ax.set_xlabel("utility lost (nats)")


def _budget_axis(ax: plt.Axes) -> None:
    ax.set_xscale("log", base=2)
    ax.set_xticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
    ax.minorticks_off()
