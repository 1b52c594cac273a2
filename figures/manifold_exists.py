"""How near unseen activations lie to those learnt from, against points without their structure; and their dimension."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from analyses.studies.finished import Study

from .drawing.panels import Place, key, panels, plain_numbers
from .drawing.saved import of_steer
from .drawing.style import BLUE, GREEN, GREY, VERMILION, Look

NAME = "manifold_exists"
ORDER = 70

POINTS = {
    "held out": (Look(BLUE, "o"), "unseen tokens"),
    "gaussian": (Look(VERMILION, "s", "--"), "Gaussian, same covariance"),
    "shuffled": (Look(GREEN, "^", "-."), "coordinates shuffled"),
    "all directions": (Look(GREY, "D", ":"), "all directions alike"),
}
"""The tokens of the dimensions are those learnt from, which stand beside the unseen ones."""
ESTIMATORS = {
    "two_nn": "TwoNN",
    "maximum_likelihood": "maximum\nlikelihood",
    "participation_ratio": "participation\nratio",
}


def numbers(study: Study) -> pd.DataFrame | None:
    """At the steered site: the share within each distance, with a band for so many pairs; dimensions with intervals."""
    curve = of_steer(study, "manifold_exists-curve", None)
    dimension = of_steer(study, "manifold_exists-dimension", None)
    if curve is None or dimension is None:
        return None
    curve, dimension = (table.loc[table.layer == curve.layer.iloc[0]] for table in (curve, dimension))
    # Dvoretzky, Kiefer and Wolfowitz, with the pairs as units: tokens of one pair are no independent witnesses.
    half = np.sqrt(np.log(2 / 0.05) / (2 * len(study.sweeps[0].pairs)))
    within = pd.DataFrame(
        {
            "kind": "share within distance",
            "points": curve.points,
            "distance": curve.distance,
            "value": curve.share,
            "low": (curve.share - half).clip(lower=0),
            "high": (curve.share + half).clip(upper=1),
            "unit": "share",
        }
    )
    dimension = dimension.replace({"points": {"activations": "held out"}}).rename(columns={"estimate": "value"})
    dimension = dimension.assign(kind="dimension", unit="dimensions")
    return pd.concat([within, dimension], ignore_index=True).assign(subject=curve.subject.iloc[0])


def draw(study: Study, ax: Place = None) -> Figure | None:
    """Two panels: assumption 4.1 as a curve of 1 - δ against ε; dimensions by three estimators."""
    table = numbers(study)
    if table is None:
        return None
    with panels(ax, 2, height=4.4, ratios=(1.4, 1)) as shown:
        within, dimension = shown.axes
        _draw_within(within, table.loc[table.kind == "share within distance"])
        _draw_dimensions(dimension, table.loc[table.kind == "dimension"])
        shown.legend([key(words, look, linestyle=look.line) for look, words in POINTS.values()], columns=2)
        shown.title(table.subject.iloc[0])
    return shown.figure


def _draw_within(ax: Axes, table: pd.DataFrame) -> None:
    for name, rows in table.groupby("points", sort=False):
        look = POINTS[str(name)][0]
        ax.fill_between(rows.distance, rows.low, rows.high, color=look.colour, alpha=0.15, linewidth=0)
        ax.plot(rows.distance, rows.value, color=look.colour, linestyle=look.line)
    ax.set_xlim(left=0)
    ax.set_xlabel("distance ε to the learnt tokens (share of their spread)")
    ax.set_ylabel("share of tokens within ε (95 %)")


def _draw_dimensions(ax: Axes, table: pd.DataFrame) -> None:
    for offset, (name, (look, _)) in zip(np.linspace(-0.24, 0.24, len(POINTS)), POINTS.items(), strict=True):
        rows = table.loc[table.points == name].set_index("estimator").reindex(list(ESTIMATORS))
        x = np.arange(len(rows)) + offset
        ax.vlines(x, rows.low, rows.high, color=look.colour, linewidth=1)
        ax.plot(x, rows.value, look.marker, color=look.colour, markersize=3.5)
    ax.axhline(table.d_model.max(), color=GREY, linewidth=0.7)
    ax.annotate(
        f"width {table.d_model.max():.0f}",
        (len(ESTIMATORS) - 0.5, table.d_model.max()),
        va="bottom",
        ha="right",
        fontsize=6,
    )
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_minor_formatter(NullFormatter())
    plain_numbers(ax.yaxis)
    ax.set_xticks(np.arange(len(ESTIMATORS)), list(ESTIMATORS.values()))
    ax.set_xlim(-0.5, len(ESTIMATORS) - 0.5)
    ax.grid(False, axis="x")
    ax.set_ylabel("dimensions (95 %)")
