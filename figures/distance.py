"""Distance to the manifold against the multiplier, by layer."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from analyses.study import Study

from .style import DOUBLE_COLUMN, GREY, style
from .tables import first_steer, layer_colours, through_zero

DISTANCES = {
    "neighbours": "nearest neighbours",
    "subspace": "principal subspace",
    "gaussian": "Gaussian (standard deviations)",
}


def draw(study: Study) -> Figure | None:
    """A panel for each distance: growth from the unsteered token, mean over pairs with 95 % intervals."""
    found = first_steer(study, "off_manifold-distance")
    if found is None:
        return None
    table, subject = found
    colours = layer_colours(table.layer)
    with style():
        figure, axes = plt.subplots(1, len(DISTANCES), figsize=(DOUBLE_COLUMN, 2.6), layout="constrained")
        for ax, (name, words) in zip(axes, DISTANCES.items(), strict=True):
            for layer, colour in colours.items():
                rows = through_zero(table.loc[(table.distance == name) & (table.layer == layer)])
                ax.fill_between(rows.multiplier, rows.low, rows.high, color=colour, alpha=0.2, linewidth=0)
                ax.plot(rows.multiplier, rows.growth, color=colour, marker="o", markersize=2.5, label=f"layer {layer}")
            ax.axvline(0, color=GREY, linewidth=0.6)
            ax.set_title(words)
            ax.set_xlabel("multiplier $m$")
        axes[0].set_ylabel("growth of the distance")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6))
        figure.suptitle(subject, fontsize=8)
    return figure
