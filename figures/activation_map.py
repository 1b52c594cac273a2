"""A map of the activations (UMAP), with the paths on which steering takes single tokens, coloured by utility lost."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from analyses.study import Study

from .style import DOUBLE_COLUMN, GREY, style
from .tables import first_steer


def draw(study: Study) -> Figure | None:
    """One panel for each direction: grey are unsteered tokens; a path begins at a ring."""
    found = first_steer(study, "activation_map-place")
    if found is None:
        return None
    table, subject = found
    background, paths = table.loc[table.token < 0], table.loc[table.token >= 0]
    lost = float(paths.utility_loss.quantile(0.9))
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(DOUBLE_COLUMN, 3.3), layout="constrained", sharex=True, sharey=True)
        for ax, sign, words in zip(axes, (-1, 1), ("m < 0", "m > 0"), strict=True):
            ax.scatter(background.x, background.y, s=2, color="#D0D0D0", linewidth=0, rasterized=True)
            for _, path in paths.loc[sign * paths.multiplier >= 0].groupby("token"):
                path = path.iloc[path.multiplier.abs().argsort()]
                ax.plot(path.x, path.y, color=GREY, linewidth=0.4, alpha=0.6)
                ax.plot(path.x.iloc[0], path.y.iloc[0], "o", markersize=3, fillstyle="none", color="black", mew=0.5)
                points = ax.scatter(
                    path.x.iloc[1:], path.y.iloc[1:], c=path.utility_loss.iloc[1:], s=9, cmap="viridis_r", vmin=0, vmax=lost,
                    linewidth=0,
                )  # fmt: skip
            ax.set_title(words)
            ax.set_xticks([])
            ax.set_yticks([])
        figure.colorbar(points, ax=axes, label="utility lost (nats)", extend="max")
        figure.suptitle(f"{subject}: what steered tokens are most like; a map has no distances", fontsize=8)
    return figure
