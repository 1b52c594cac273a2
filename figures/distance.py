"""Distance to the manifold against the multiplier, by layer."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.panels import Place, growing_axis, key, panels, zero_lines
from .drawing.saved import of_steer, through_zero
from .drawing.style import shades

NAME = "distance"
ORDER = 180
SCOPE = "steer"

DISTANCES = {
    "neighbours": "to neighbours (raw units)",
    "subspace": "to subspace (raw units)",
    "gaussian": "from Gaussian's centre (s.d.)",
    "tangent": "off the tangent (raw units)",
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
    looks, names = shades(sorted(table.layer)), list(dict.fromkeys(table.distance))
    with panels(ax, len(names), height=1.5 * len(names), sharex=True) as shown:
        for panel, name in zip(shown.axes, names, strict=True):
            zero_lines(panel, y=True)
            for layer, look in looks.items():
                rows = table.loc[(table.distance == name) & (table.layer == layer)]
                panel.fill_between(rows.multiplier, rows.low, rows.high, color=look.colour, alpha=0.3, linewidth=0)
                panel.plot(rows.multiplier, rows.value, color=look.colour, marker=look.marker, linestyle=look.line)
            # At its head: beside the panel it would run into its neighbour's.
            panel.set_title(DISTANCES.get(name) or str(name))
            rows = table.loc[table.distance == name]
            growing_axis(panel.yaxis, rows.multiplier, rows.value)
        shown.over_multipliers(table.multiplier)
        shown.y_label("distance gained")
        shown.legend([key(f"layer {layer}", look, linestyle=look.line) for layer, look in looks.items()])
        shown.caption(
            f"{table.subject.iloc[0]}.",
            "By how much a token's distance grows from where it was unsteered, mean over pairs with 95 % intervals: "
            "Euclidean, in raw units of each layer's activations, or in standard deviations (s.d.) of a Gaussian.",
        )
    return shown.figure
