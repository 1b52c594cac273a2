"""Distance to the manifold against the multiplier, by layer."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.panels import Place, key, panels, plain_numbers, zero_lines
from .drawing.saved import of_steer, through_zero
from .drawing.style import layer_looks

NAME = "distance"
ORDER = 180
SCOPE = "steer"

DISTANCES = {
    "neighbours": "to nearest neighbours\n(activations' unit)",
    "subspace": "to principal subspace\n(activations' unit)",
    "gaussian": "from Gaussian's centre\n(standard deviations)",
}


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """Growth from the unsteered token by distance, layer and multiplier: mean over pairs, with its interval."""
    table = of_steer(study, "off_manifold-distance", subject)
    if table is None:
        return None
    # The tangent is known at the steered site alone.
    everywhere = table.loc[table.distance != "tangent"]
    parts = [
        through_zero(rows).assign(distance=distance, layer=layer, subject=rows.subject.iloc[0])
        for (distance, layer), rows in everywhere.groupby(["distance", "layer"], sort=False)
    ]
    return pd.concat(parts, ignore_index=True).rename(columns={"growth": "value"})


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """A panel for each distance, on one axis; a line for each layer."""
    table = numbers(study, subject)
    if table is None:
        return None
    looks, names = layer_looks(table.layer), list(dict.fromkeys(table.distance))
    with panels(ax, len(names), height=1.6 * len(names), sharex=True) as shown:
        for panel, name in zip(shown.axes, names, strict=True):
            zero_lines(panel, y=True)
            for layer, look in looks.items():
                rows = table.loc[(table.distance == name) & (table.layer == layer)]
                panel.fill_between(rows.multiplier, rows.low, rows.high, color=look.colour, alpha=0.3, linewidth=0)
                panel.plot(rows.multiplier, rows.value, color=look.colour, marker=look.marker)
            panel.set_ylabel(DISTANCES.get(name) or str(name))
            plain_numbers(panel.yaxis)
        shown.axes[0].set_title("growth of the distance, mean over pairs with 95 %")
        shown.axes[-1].set_xlabel("multiplier $m$")
        plain_numbers(shown.axes[-1].xaxis)
        shown.legend([key(f"layer {layer}", look, linestyle="-") for layer, look in looks.items()], columns=4)
        shown.title(table.subject.iloc[0])
    return shown.figure
