"""Loss of utility against distance to the manifold: a point for each pair and multiplier."""

from string import ascii_lowercase

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .distance import DISTANCES
from .drawing.panels import Place, key, panels, wide_axis
from .drawing.saved import of_steer
from .drawing.style import GREY, SHADES, Look

NAME = "utility_distance"
ORDER = 190
SCOPE = "steer"

SIGNS = {1: ("^", "$m > 0$"), -1: ("v", "$m < 0$")}


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """A row for each pair and multiplier, and each distance's partial rank correlation with the loss, with its interval."""
    points = of_steer(study, "off_manifold-pair", subject)
    explained = of_steer(study, "off_manifold-explained", subject)
    if points is None or explained is None:
        return None
    layer = explained.loc[explained.distance == "tangent", "layer"].iloc[0]
    correlations = explained.loc[explained.layer == layer].rename(columns={"correlation": "value"})
    parts = [points.assign(kind="point"), correlations.assign(kind="correlation")]
    return pd.concat(parts, ignore_index=True)


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """A panel for each distance; only within one shade do points tell whether distance matters beyond |m|."""
    table = numbers(study, subject)
    if table is None:
        return None
    points = table.loc[table.kind == "point"]
    sizes = points.multiplier.abs()
    colours = ScalarMappable(LogNorm(float(sizes.min()), float(sizes.max())), SHADES)
    ticks = np.geomspace(sizes.min(), sizes.max(), 5)
    names = list(dict.fromkeys(table.distance.dropna()))
    rows = -(-len(names) // 2)
    with panels(ax, rows, 2, height=2.1 * rows, sharey=True) as shown:
        for panel in shown.axes[len(names) :]:
            panel.set_axis_off()
        told = []
        for letter, panel, name in zip(ascii_lowercase, shown.axes, names, strict=False):
            _draw_distance(panel, points, name, colours)
            row = table.loc[(table.kind == "correlation") & (table.distance == name)].iloc[0]
            told.append(f"({letter}) {row.value:.2f} [{row.low:.2f}, {row.high:.2f}]".replace("-", "−"))
            panel.set_xlabel(DISTANCES.get(name) or str(name))
        for panel in shown.axes[::2]:
            panel.set_ylabel("utility lost (nats)")
        shown.colour_bar(
            colours, "size of the multiplier $|m|$", location="bottom", aspect=40, ticks=ticks, format="%.3g"
        )
        shown.legend([key(words, Look(GREY, marker)) for marker, words in SIGNS.values()])
        layer = int(table.layer.dropna().iloc[0])
        shown.caption(
            f"{points.subject.iloc[0]}.",
            f"By how much distance grows at layer {layer}: Euclidean, in raw activation units, or in standard deviations "
            "(s.d.) of a Gaussian.",
            f"Rank correlations within one multiplier: {', '.join(told)}.",
        )
    return shown.figure


def _draw_distance(ax: Axes, points: pd.DataFrame, name: str, colours: ScalarMappable) -> None:
    # In random order, or the last multiplier would hide the others.
    mixed = points.sample(frac=1, random_state=0)
    for sign, (marker, _) in SIGNS.items():
        rows = mixed.loc[np.sign(mixed.multiplier) == sign]
        shades = colours.to_rgba(rows.multiplier.abs())
        ax.scatter(
            rows[name], rows.utility_loss, color=shades, marker=marker, s=4, linewidth=0, alpha=0.6, rasterized=True
        )
    small = float(np.quantile(points[name].abs(), 0.1)) or 1.0
    wide_axis(ax.xaxis, 10.0 ** int(np.floor(np.log10(small))), points[name])
    wide_axis(ax.yaxis, 1.0, points.utility_loss)
