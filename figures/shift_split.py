"""The shift against the multiplier, taken apart: along and off the manifold, around and away from the origin."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.panels import Place, growing_axis, key, panels, zero_lines
from .drawing.saved import of_steer, through_zero
from .drawing.style import shades

NAME = "shift_split"
ORDER = 200
SCOPE = "steer"

PARTS = {
    "along": r"along the tangent ($\|h\|$)",
    "normal": r"off the tangent ($\|h\|$)",
    "angle": "angle (radians)",
    "radial": r"growth of norm ($\|h\|$)",
}


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """Each part by layer and multiplier, means over tokens; lengths are shares of ‖h‖, the angle is in radians."""
    table = of_steer(study, "off_manifold-split", subject)
    if table is None:
        return None
    parts = [
        through_zero(rows).assign(layer=layer, subject=rows.subject.iloc[0])
        for layer, rows in table.groupby("layer", sort=False)
    ]
    return pd.concat(parts, ignore_index=True)


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """Four panels, a part each; a line for each layer."""
    table = numbers(study, subject)
    if table is None:
        return None
    looks = shades(sorted(table.layer))
    with panels(ax, 2, 2, height=3.6, sharex=True) as shown:
        for panel, (part, words) in zip(shown.axes, PARTS.items(), strict=True):
            zero_lines(panel, y=True)
            for layer, look in looks.items():
                rows = table.loc[table.layer == layer]
                panel.plot(rows.multiplier, rows[part], color=look.colour, marker=look.marker, linestyle=look.line)
            if part != "angle":
                growing_axis(panel.yaxis, table.multiplier, table[part])
            panel.set_title(words)
        shown.over_multipliers(table.multiplier, steps=(3,))
        shown.legend([key(f"layer {layer}", look, linestyle=look.line) for layer, look in looks.items()])
        shown.caption(f"{table.subject.iloc[0]}.", "Means over tokens; lengths are shares of the activation's norm.")
    return shown.figure
