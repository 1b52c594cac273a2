"""A map of the activations (UMAP), with the paths on which steering takes single tokens, coloured by utility lost."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analyses.studies.finished import Study

from .drawing.panels import Place, key, panels
from .drawing.saved import of_steer
from .drawing.style import BLACK, GREY, LIGHT, SHADES, Look

NAME = "activation_map"
ORDER = 80

SIDES = {-1: "$m < 0$", 1: "$m > 0$"}


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each point: unsteered ones (`token` is -1), and each followed token under each multiplier."""
    return of_steer(study, "activation_map-place", None)


def draw(study: Study, ax: Place = None) -> Figure | None:
    """Two panels, a direction each; a path begins at a ring, and each dot on it is a multiplier further out."""
    table = numbers(study)
    if table is None:
        return None
    paths = table.loc[table.token >= 0]
    colours = ScalarMappable(Normalize(0, float(paths.utility_loss.quantile(0.9))), SHADES)
    with panels(ax, 2, height=4.8, sharex=True, sharey=True) as shown:
        for panel, (sign, words) in zip(shown.axes, SIDES.items(), strict=True):
            panel.scatter(
                *table.loc[table.token < 0, ["x", "y"]].to_numpy().T, s=2, color=LIGHT, linewidth=0, rasterized=True
            )
            for _, path in paths.loc[sign * paths.multiplier >= 0].groupby("token"):
                _draw_path(panel, path.iloc[path.multiplier.abs().argsort()], colours)
            panel.set_title(words)
            panel.set_xticks([])
            panel.set_yticks([])
        shown.colour_bar(colours, "utility lost (nats)", extend="max", shrink=0.7)
        shown.legend(
            [
                key("unsteered tokens", Look(LIGHT, "o")),
                key("a path begins", Look(BLACK, "o"), fillstyle="none", markeredgewidth=0.5),
            ]
        )
        shown.axes[-1].set_xlabel("what steered tokens are most like:\na map has no distances, so no scale")
        shown.title(table.subject.iloc[0])
    return shown.figure


def _draw_path(ax: Axes, path: pd.DataFrame, colours: ScalarMappable) -> None:
    ax.plot(path.x, path.y, color=GREY, linewidth=0.4, alpha=0.6)
    ax.plot(path.x.iloc[0], path.y.iloc[0], "o", fillstyle="none", color=BLACK, markeredgewidth=0.5)
    steered = path.iloc[1:]
    ax.scatter(steered.x, steered.y, color=colours.to_rgba(steered.utility_loss), s=8, linewidth=0)
