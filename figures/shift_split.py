"""The shift against the multiplier, taken apart: along and off the manifold, around and away from the origin."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from analyses.study import Study

from .style import DOUBLE_COLUMN, GREY, style
from .tables import first_steer, layer_colours, through_zero

PARTS = {
    "along": r"along the tangent, $/\|h\|$",
    "normal": r"off the tangent, $/\|h\|$",
    "angle": "angle (radians)",
    "radial": r"growth of the norm, $/\|h\|$",
}


def draw(study: Study) -> Figure | None:
    """A panel for each part, means over tokens, a line for each layer."""
    found = first_steer(study, "off_manifold-split")
    if found is None:
        return None
    table, subject = found
    with style():
        figure, axes = plt.subplots(1, len(PARTS), figsize=(DOUBLE_COLUMN, 2.4), layout="constrained")
        for ax, (part, words) in zip(axes, PARTS.items(), strict=True):
            for layer, colour in layer_colours(table.layer).items():
                rows = through_zero(table.loc[table.layer == layer])
                ax.plot(rows.multiplier, rows[part], color=colour, marker="o", markersize=2.5, label=f"layer {layer}")
            ax.axvline(0, color=GREY, linewidth=0.6)
            ax.set_title(words)
            ax.set_xlabel("multiplier $m$")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6))
        figure.suptitle(subject, fontsize=8)
    return figure
