"""By layer: the spectrum and dimension of activations, and how a shift is carried off the components that lead, as one figure."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses.evidence.directions import LEADING
from analyses.evidence.layers import AS_IS, UNIT
from analyses.studies.finished import Study
from analyses.studies.layers import layers_of

from ..drawing.panels import Place, panels, plain_numbers
from ..drawing.saved import of_steer
from ..drawing.style import BLACK, GREY, Look, shades

ABOUT = (
    "(a) Shares of the variance by rank of the principal components, a line for each layer, dark to light from the steered "
    "layer on.",
    "(b) Dimension by maximum likelihood, of unseen tokens and of as many Gaussian points with their covariance.",
    f"(c, d) The share of the shift's squared length that lies off the components with {LEADING:.0%} of the variance there, "
    "a line for each multiplier, dark to light as |m| grows; dotted: what a direction by chance has off them. (d) is with every "
    "coordinate at unit variance.",
)

ROUNDING = 1e-9
"""Shares of components beyond the number of tokens are rounding."""


def draw(study: Study, ax: Place = None) -> Figure | None:
    """Four panels; None where the study holds no evidence."""
    tables = layers_of(study)
    if not tables:
        return None
    spectrum, shift = tables["layers-spectrum"], tables["layers-shift"]
    dimension = of_steer(study, "manifold_exists-dimension", None)
    with panels(ax, 2, 2, height=4.8) as shown:
        first, second, *off = shown.axes
        _draw_spectrum(first, spectrum.loc[spectrum["view"] == AS_IS])
        _draw_dimension(second, dimension)
        for panel, view in zip(off, (AS_IS, UNIT), strict=True):
            _draw_off(panel, shift.loc[shift["view"] == view], view)
        # What a shade stands for differs between panels.
        for panel in shown.axes:
            panel.legend(fontsize=6.5, handlelength=2)
        shown.caption(*ABOUT)
    return shown.figure


def _draw_spectrum(ax: Axes, table: pd.DataFrame) -> None:
    looks = shades(sorted(table.layer.unique().tolist()))
    for layer, look in looks.items():
        rows = table.loc[(table.layer == layer) & (table.share > ROUNDING)]
        label = _of_ends(layer, looks, f"layer {layer}")
        ax.plot(rows["rank"], rows.share, color=look.colour, linestyle=look.line, linewidth=0.8, label=label)
    ax.set_xscale("log")
    ax.set_yscale("log")
    plain_numbers(ax.xaxis)
    ax.set_xlabel("rank of the component")
    ax.set_ylabel("share of variance")


def _draw_dimension(ax: Axes, table: pd.DataFrame | None) -> None:
    ax.set_xlabel("layer")
    ax.set_ylabel("dimension")
    if table is None:
        return
    rows = table.loc[table.estimator == "maximum_likelihood"]
    looks = {"held out": (Look(BLACK, "o"), "unseen tokens"), "gaussian": (Look(GREY, "^", "--"), "Gaussian")}
    for name, (look, label) in looks.items():
        some = rows.loc[rows.points == name].sort_values("layer")
        ax.vlines(some.layer, some.low, some.high, color=look.colour, linewidth=0.7)
        ax.plot(
            some.layer, some.estimate, look.marker, color=look.colour, linestyle=look.line, markersize=2.6, label=label
        )
    ax.set_ylim(bottom=0)


def _draw_off(ax: Axes, table: pd.DataFrame, view: str) -> None:
    looks = shades(sorted(table.multiplier.unique(), key=abs))
    for multiplier, look in looks.items():
        label = _of_ends(multiplier, looks, f"$m$ = {multiplier:g}")
        rows = table.loc[table.multiplier == multiplier].sort_values("layer")
        ax.fill_between(rows.layer, rows.low, rows.high, color=look.colour, alpha=0.2, linewidth=0)
        ax.plot(
            rows.layer, rows.off, look.marker, color=look.colour, linestyle=look.line, markersize=2.4, linewidth=0.8,
            label=label,
        )  # fmt: skip
    by_chance = table.drop_duplicates("layer").sort_values("layer")
    ax.plot(by_chance.layer, 1 - by_chance.n_leading / by_chance.d_model, ":", color=GREY, label="by chance")
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("layer")
    ax.set_ylabel(f"off the leading components\n({view})")


def _of_ends(value: float, looks: dict, words: str) -> str | None:
    """The legend's words, of the first and the last alone: those between can be told by their shades."""
    return words if value in (next(iter(looks)), next(reversed(looks))) else None
