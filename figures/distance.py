"""Distance to the manifold against the multiplier, by layer."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study

from .drawing.panels import Place, key, panels, plain_numbers, zero_lines
from .drawing.saved import of_steer, through_zero
from .drawing.style import layer_looks

DISTANCES = {
    "neighbours": "to nearest neighbours\n(activations' unit)",
    "subspace": "to principal subspace\n(activations' unit)",
    "gaussian": "from Gaussian's centre\n(standard deviations)",
}


def numbers(study: Study, subject: str | None = None) -> pd.DataFrame | None:
    """Growth from the unsteered token by distance, layer and multiplier: mean over pairs, with its interval."""
    table = of_steer(study, "off_manifold-distance", subject)
    if table is None:
        return None
    parts = [
        through_zero(rows).assign(distance=distance, layer=layer, subject=rows.subject.iloc[0])
        for (distance, layer), rows in table.loc[table.distance.isin(DISTANCES)].groupby(
            ["distance", "layer"], sort=False
        )
    ]
    return pd.concat(parts, ignore_index=True).rename(columns={"growth": "value"})


def draw(study: Study, ax: Place = None, subject: str | None = None) -> Figure | None:
    """Three panels, a distance each, on one axis; a line for each layer."""
    table = numbers(study, subject)
    if table is None:
        return None
    looks = layer_looks(table.layer)
    with panels(ax, len(DISTANCES), height=4.8, sharex=True) as shown:
        for panel, (name, words) in zip(shown.axes, DISTANCES.items(), strict=True):
            zero_lines(panel, y=True)
            for layer, look in looks.items():
                rows = table.loc[(table.distance == name) & (table.layer == layer)]
                panel.fill_between(rows.multiplier, rows.low, rows.high, color=look.colour, alpha=0.3, linewidth=0)
                panel.plot(rows.multiplier, rows.value, color=look.colour, marker=look.marker)
            panel.set_ylabel(words)
            plain_numbers(panel.yaxis)
        shown.axes[0].set_title("growth of the distance, mean over pairs with 95 %")
        shown.axes[-1].set_xlabel("multiplier $m$")
        plain_numbers(shown.axes[-1].xaxis)
        shown.legend([key(f"layer {layer}", look, linestyle="-") for layer, look in looks.items()], columns=4)
        shown.title(table.subject.iloc[0])
    return shown.figure
