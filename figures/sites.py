"""Where to steer: what each nat of lost utility buys in preference, layer by place by strength."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analyses.studies.finished import Study

from .drawing.panels import Place, key, panels
from .drawing.saved import saved
from .drawing.style import BLACK, Look

NAME = "sites"
ORDER = 40

PLACES = ("resid_pre", "attn.o", "resid_mid", "mlp.out", "mlp.bypass", "resid_post")
"""In the order in which a block computes them."""


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each layer, place and relative shift: gain and loss (nats), their ratio, and whether it was chosen."""
    table = saved(study, "sites")
    if table is None:
        return None
    return table.assign(chosen=table.layer.astype(str) + ":" + table.place == study.summary["site"]["site"])


def draw(study: Study, ax: Place = None) -> Figure | None:
    """A panel for each strength; the frame is the chosen site, a cross means more than one nat of utility lost."""
    table = numbers(study)
    if table is None:
        return None
    shifts = sorted(table.relative_shift.unique())
    places = [place for place in PLACES if (table.place == place).any()]
    colours = ScalarMappable(Normalize(0, float(table.gain_per_nat.max())), "cividis")
    with panels(ax, len(shifts), height=0.9 + (0.35 + 0.13 * len(places)) * len(shifts), sharex=True) as shown:
        for panel, shift in zip(shown.axes, shifts, strict=True):
            _draw_strength(panel, table.loc[table.relative_shift == shift], places, colours)
            panel.set_title(rf"$\|m\Delta h\|/\|h\|$ = {shift:g}")
        shown.axes[-1].set_xlabel("layer")
        shown.colour_bar(colours, "preference gained per nat of utility lost\n(a loss under one nat counts as one)")
        shown.legend(
            [
                key("chosen", Look(BLACK, "s"), fillstyle="none", markeredgewidth=1.2, markersize=5),
                key("loses more than one nat", Look(BLACK, "x"), markeredgewidth=0.7),
            ]
        )
    return shown.figure


def _draw_strength(ax: Axes, table: pd.DataFrame, places: list[str], colours: ScalarMappable) -> None:
    layers = range(int(table.layer.max()) + 1)
    grid = table.pivot(index="place", columns="layer", values="gain_per_nat").reindex(index=places, columns=layers)
    ax.imshow(colours.to_rgba(grid.to_numpy()), aspect="auto", interpolation="nearest")
    most = colours.get_clim()[1]
    at = table.assign(row=table.place.map(places.index))
    costly, chosen = at.loc[at.utility_lost > 1], at.loc[at.chosen]
    for row in costly.itertuples():
        is_light = row.gain_per_nat > most / 2
        ax.plot(row.layer, row.row, "x", color=BLACK if is_light else "white", markersize=3, markeredgewidth=0.7)
    for row in chosen.itertuples():
        for colour, width in (("white", 2.6), (BLACK, 1.2)):
            frame = Rectangle((row.layer - 0.5, row.row - 0.5), 1, 1, fill=False, edgecolor=colour, linewidth=width)
            ax.add_patch(frame)
    ax.set_yticks(range(len(places)), places)
    step = int(np.ceil(len(layers) / 12))
    ax.set_xticks(layers[::step])
    ax.grid(False)
    ax.tick_params(length=0)
