"""Loss of utility against distance to the manifold: a point for each pair and multiplier."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from analyses.study import Study

from .style import DOUBLE_COLUMN, style
from .tables import first_steer

DISTANCES = ("neighbours", "subspace", "gaussian", "tangent")


def draw(study: Study) -> Figure | None:
    """A panel for each distance. Only comparisons within one colour tell whether it matters beyond |m|: those are in r."""
    found = first_steer(study, "off_manifold-pair")
    correlations = first_steer(study, "off_manifold-explained")
    if found is None or correlations is None:
        return None
    (table, subject), explained = found, correlations[0]
    site_layer = explained.loc[explained.distance == "tangent", "layer"].iloc[0]
    explained = explained[explained.layer == site_layer].set_index("distance")
    largest = float(table.multiplier.abs().max())
    norm = SymLogNorm(linthresh=float(table.multiplier.abs().min()), vmin=-largest, vmax=largest)
    order = np.random.default_rng(0).permutation(len(table))
    with style():
        figure, axes = plt.subplots(1, 4, figsize=(DOUBLE_COLUMN, 2.4), layout="constrained", sharey=True)
        for ax, name in zip(axes, DISTANCES, strict=True):
            points = ax.scatter(
                table[name].to_numpy()[order], table.utility_loss.to_numpy()[order], c=table.multiplier.to_numpy()[order],
                s=3, linewidth=0, alpha=0.6, cmap="RdBu_r", norm=norm, rasterized=True,
            )  # fmt: skip
            row = explained.loc[name]
            ax.set_title(f"{name}\nr = {row.correlation:.2f} [{row.low:.2f}, {row.high:.2f}]", fontsize=7)
            ax.set_xlabel("growth of distance")
        axes[0].set_ylabel("utility lost (nats)")
        ticks = [-largest, 0, largest]
        figure.colorbar(points, ax=axes, label="multiplier $m$", ticks=ticks, format="%.3g")
        figure.suptitle(f"{subject}, layer {site_layer}", fontsize=8)
    return figure
