"""By layer: the spectrum and dimension of activations, and how a shift is carried off the components that lead, as one figure."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses.evidence.directions import LEADING
from analyses.evidence.layers import AS_IS, UNIT
from analyses.studies.finished import Study
from analyses.studies.layers import layers_of

from ..drawing.panels import Place, key, panels, plain_numbers
from ..drawing.saved import of_steer
from ..drawing.style import BLACK, GREY, Look, shades

ABOUT = (
    "(a) Shares of the variance by rank of the principal components, a line a layer, dark to light from the steered layer on.",
    "(b) Dimension by maximum likelihood, of unseen tokens and of as many Gaussian points with their covariance.",
    f"(c, d) The share of the shift's squared length that lies off the components with {LEADING:.0%} of the variance there, "
    "a line a multiplier; dotted: what a direction by chance has off them. (d) is with every coordinate at unit variance.",
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
        looks = _draw_spectrum(first, spectrum.loc[spectrum["view"] == AS_IS])
        _draw_dimension(second, dimension)
        for panel, view in zip(off, (AS_IS, UNIT), strict=True):
            _draw_off(panel, shift.loc[shift["view"] == view], view)
        first_and_last = [list(looks)[0], list(looks)[-1]]
        shown.legend([key(f"layer {layer}", looks[layer], line=True) for layer in dict.fromkeys(first_and_last)])
        shown.caption(*ABOUT)
    return shown.figure


def _draw_spectrum(ax: Axes, table: pd.DataFrame) -> dict[int, Look]:
    looks = shades(sorted(table.layer.unique().tolist()))
    for layer, look in looks.items():
        rows = table.loc[(table.layer == layer) & (table.share > ROUNDING)]
        ax.plot(rows["rank"], rows.share, color=look.colour, linestyle=look.line, linewidth=0.8)
    ax.set_xscale("log")
    ax.set_yscale("log")
    plain_numbers(ax.xaxis)
    ax.set_xlabel("rank of the component")
    ax.set_ylabel("share of variance")
    return looks


def _draw_dimension(ax: Axes, table: pd.DataFrame | None) -> None:
    ax.set_xlabel("layer")
    ax.set_ylabel("dimension")
    if table is None:
        return
    rows = table.loc[table.estimator == "maximum_likelihood"]
    for name, look in (("held out", Look(BLACK, "o")), ("gaussian", Look(GREY, "^", "--"))):
        some = rows.loc[rows.points == name].sort_values("layer")
        ax.vlines(some.layer, some.low, some.high, color=look.colour, linewidth=0.7)
        ax.plot(some.layer, some.estimate, look.marker, color=look.colour, linestyle=look.line, markersize=2.6)
    ax.set_ylim(bottom=0)


def _draw_off(ax: Axes, table: pd.DataFrame, view: str) -> None:
    for multiplier, look in shades(sorted(table.multiplier.unique(), key=abs)).items():
        rows = table.loc[table.multiplier == multiplier].sort_values("layer")
        ax.fill_between(rows.layer, rows.low, rows.high, color=look.colour, alpha=0.2, linewidth=0)
        ax.plot(
            rows.layer, rows.off, look.marker, color=look.colour, linestyle=look.line, markersize=2.4, linewidth=0.8
        )
    by_chance = table.drop_duplicates("layer").sort_values("layer")
    ax.plot(by_chance.layer, 1 - by_chance.n_leading / by_chance.d_model, ":", color=GREY)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("layer")
    ax.set_ylabel(f"off the leading components\n({view})")
