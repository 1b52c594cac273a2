"""Where to steer: what is gained in the useful range by log-odds, layer by place."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analyses.studies.finished import Study
from mechsteer.measuring.useful import USEFUL

from .drawing.panels import Place, key, panels
from .drawing.saved import model_of, saved
from .drawing.style import BLACK, SHADES, Look

NAME = "sites"
ORDER = 40

PLACES = ("resid_pre", "attn.o", "resid_mid", "mlp.out", "mlp.bypass", "resid_post")
"""In the order in which a block computes them."""


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each layer, place and relative shift: gain and loss (nats), the useful gain, and whether it was chosen."""
    table = saved(study, "sites")
    if table is None:
        return None
    return table.assign(chosen=table.layer.astype(str) + ":" + table.place == study.summary["site"]["site"])


def draw(study: Study, ax: Place = None) -> Figure | None:
    """One panel; the frame is the chosen site, a cross means surely less than the best."""
    table = numbers(study)
    if table is None:
        return None
    table = table.drop_duplicates(["layer", "place"])
    places = [place for place in PLACES if (table.place == place).any()]
    colours = ScalarMappable(Normalize(0, float(table.useful_gain.max())), SHADES)
    with panels(ax, height=0.95 + 0.2 * len(places)) as shown:
        _draw_gains(shown.axes[0], table, places, colours)
        shown.axes[0].set_xlabel("layer")
        shown.colour_bar(colours, "gained (nats)")
        shown.legend(
            [
                key("chosen", Look(BLACK, "s"), fillstyle="none", markeredgewidth=1.2, markersize=5),
                key("surely less than the best", Look(BLACK, "x"), markeredgewidth=0.7),
            ]
        )
        shown.caption(
            f"What a DiffMean vector of {model_of(study)} gains at each place where {USEFUL:g} nats "
            f"of utility are lost, on pairs of {study.summary['pairs']['learning']['name']}.",
            "A cross marks a place whose gain is below the best one's (95 % interval).",
        )
    return shown.figure


def _draw_gains(ax: Axes, table: pd.DataFrame, places: list[str], colours: ScalarMappable) -> None:
    layers = range(int(table.layer.max()) + 1)
    grid = table.pivot(index="place", columns="layer", values="useful_gain").reindex(index=places, columns=layers)
    ax.imshow(colours.to_rgba(grid.to_numpy()), aspect="auto", interpolation="nearest")
    most = colours.get_clim()[1]
    at = table.assign(row=table.place.map(places.index))
    for row in at.loc[at.behind < 0].itertuples():
        is_light = row.useful_gain < most / 2
        ax.plot(row.layer, row.row, "x", color=BLACK if is_light else "white", markersize=3, markeredgewidth=0.7)
    for row in at.loc[at.chosen].itertuples():
        for colour, width in (("white", 2.6), (BLACK, 1.2)):
            frame = Rectangle((row.layer - 0.5, row.row - 0.5), 1, 1, fill=False, edgecolor=colour, linewidth=width)
            # At the edge half of the line would be cut off.
            ax.add_patch(frame).set_clip_on(False)
    ax.set_yticks(range(len(places)), places)
    step = int(np.ceil(len(layers) / 12))
    ax.set_xticks(layers[::step])
    ax.grid(False)
    ax.tick_params(length=0)
