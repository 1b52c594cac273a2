"""A map of the activations (UMAP), with the paths on which steering takes single tokens, coloured by utility lost."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import AsinhNorm, to_hex
from matplotlib.figure import Figure

from analyses.studies.finished import Study

from .drawing.panels import Place, key, panels
from .drawing.saved import of_steer
from .drawing.style import BLACK, LIGHT, SHADES, Look

NAME = "activation_map"
ORDER = 80

SIDES = {-1: "$m < 0$", 1: "$m > 0$"}
START = Look(BLACK, "s")
EVEN_UP_TO = 0.5
"""Nats up to which colours change evenly; beyond, they change by decades."""
N_PATHS = 6
"""Tokens whose way is drawn; more cross too often to be followed. The places of all are points."""


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each point: unsteered ones (`token` is -1), and each followed token under each multiplier."""
    return of_steer(study, "activation_map-place", None)


def draw(study: Study, ax: Place = None) -> Figure | None:
    """Two panels, a direction each; a path begins at an open square, and each point on it is a multiplier further out."""
    table = numbers(study)
    if table is None:
        return None
    paths = table.loc[table.token >= 0]
    followed = paths.token.unique()[:N_PATHS]
    most = float(paths.utility_loss.quantile(0.9))
    # What steers lose before they are useless is a small part of what they lose at the sweep's ends.
    colours = ScalarMappable(AsinhNorm(EVEN_UP_TO, vmin=0, vmax=most), SHADES)
    with panels(ax, 2, height=4.6, sharex=True, sharey=True) as shown:
        for panel, (sign, words) in zip(shown.axes, SIDES.items(), strict=True):
            panel.scatter(
                *table.loc[table.token < 0, ["x", "y"]].to_numpy().T, s=5, color=LIGHT, linewidth=0, rasterized=True
            )
            steered = paths.loc[sign * paths.multiplier > 0]
            panel.scatter(steered.x, steered.y, color=colours.to_rgba(steered.utility_loss), s=4, linewidth=0)
            for token in followed:
                path = paths.loc[(paths.token == token) & (sign * paths.multiplier >= 0)]
                _draw_path(panel, path.iloc[path.multiplier.abs().argsort()], colours)
            panel.set_title(words)
            panel.set_xticks([])
            panel.set_yticks([])
            panel.grid(False)
        ticks = [loss for loss in (0, 0.5, 2, 8, 32, 128, 512) if loss <= most]
        shown.colour_bar(colours, "utility lost (nats)", extend="max", shrink=0.7, ticks=ticks, format="%g")
        shown.legend(
            [
                key("unsteered tokens", Look(LIGHT, "o")),
                key("a steered token", Look(to_hex(SHADES(0.5)), "o"), markersize=2),
                key(
                    "one that is followed",
                    Look(to_hex(SHADES(0.5)), "o"),
                    markeredgecolor=BLACK,
                    markeredgewidth=0.4,
                    markersize=4,
                ),
                key("a path begins", START, fillstyle="none", markersize=4.5, markeredgewidth=0.9),
            ]
        )
        n_tokens = paths.token.nunique()
        shown.caption(
            f"{table.subject.iloc[0]}.",
            f"Points are {n_tokens} tokens under every multiplier; lines follow {len(followed)} of them outwards.",
            "The map shows what steered tokens resemble. Its distances mean nothing, so it has no scale.",
        )
    return shown.figure


def _draw_path(ax: Axes, path: pd.DataFrame, colours: ScalarMappable) -> None:
    ax.plot(path.x, path.y, color=BLACK, linewidth=0.6)
    # On top of all points, for many paths come back to where another begins; and open, or it would hide them.
    ax.plot(
        path.x.iloc[0], path.y.iloc[0], START.marker, color=START.colour, fillstyle="none", markersize=4.5,
        markeredgewidth=0.9, zorder=4,
    )  # fmt: skip
    steered = path.iloc[1:]
    ax.scatter(
        steered.x,
        steered.y,
        color=colours.to_rgba(steered.utility_loss),
        s=14,
        linewidth=0.4,
        edgecolor=BLACK,
        zorder=3,
    )
