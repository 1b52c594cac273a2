"""How near unseen activations lie to those learnt from, against points without their structure; and their dimension."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from analyses.claims.manifold_exists import TO_LEARNT
from analyses.studies.finished import Study

from .drawing.panels import Place, key, panels, plain_numbers
from .drawing.saved import of_steer
from .drawing.style import GREY, shades

NAME = "manifold_exists"
ORDER = 70

POINTS = {
    "held out": "unseen tokens",
    "mixture": "mixture by token",
    "gaussian": "Gaussian, same covariance",
    "shuffled": "coordinates shuffled",
    "all directions": "all directions alike",
}
"""From all of the tokens' structure to none."""
LOOKS = shades(POINTS)
ESTIMATORS = {
    "two_nn": "TwoNN",
    "maximum_likelihood": "maximum\nlikelihood",
    "participation_ratio": "participation\nratio",
    TO_LEARNT: "to learnt\ntokens",
}
"""As ticks are called, of which four stand side by side."""


def numbers(study: Study) -> pd.DataFrame | None:
    """At the steered site: the share within each distance, with a band for so many pairs; dimensions with intervals, by
    estimator and by scale."""
    curve, dimension, scale = (
        of_steer(study, f"manifold_exists-{name}", None) for name in ("curve", "dimension", "scale")
    )
    if curve is None or dimension is None or scale is None:
        return None
    curve, dimension = (table.loc[table.layer == curve.layer.iloc[0]] for table in (curve, dimension))
    # Dvoretzky, Kiefer and Wolfowitz, with the pairs as units: tokens of one pair are no independent witnesses.
    half = np.sqrt(np.log(2 / 0.05) / (2 * len(study.sweeps[0].pairs)))
    within = pd.DataFrame(
        {
            "kind": "share within distance",
            "points": curve.points,
            "distance": curve.distance,
            "value": curve.share,
            "low": (curve.share - half).clip(lower=0),
            "high": (curve.share + half).clip(upper=1),
            "unit": "share",
        }
    )
    read = [
        table.rename(columns={"estimate": "value"}).assign(kind=kind, unit="dimensions")
        for kind, table in (("dimension", dimension), ("scale", scale))
    ]
    return pd.concat([within, *read], ignore_index=True).assign(subject=curve.subject.iloc[0])


def draw(study: Study, ax: Place = None) -> Figure | None:
    """Three panels: assumption 4.1 as a curve of 1 - δ against ε; dimensions by all estimators, and by one at other scales."""
    table = numbers(study)
    if table is None:
        return None
    with panels(ax, 3, height=5.0, ratios=(1.3, 1, 1), stacked=True) as shown:
        within, dimension, scale = shown.axes
        _draw_within(within, table.loc[table.kind == "share within distance"])
        _draw_dimensions(dimension, table.loc[table.kind == "dimension"])
        _draw_scale(scale, table.loc[table.kind == "scale"])
        estimators = table.estimator.dropna().unique()
        left_out = [words for name, words in POINTS.items() if name not in set(table.points[table.kind == "scale"])]
        shown.legend([key(words, LOOKS[name], linestyle=LOOKS[name].line) for name, words in POINTS.items()])
        shown.caption(
            f"{table.subject.iloc[0]}.",
            "(a) Shares of tokens; bands of 95 % for a whole curve, with pairs as units (Dvoretzky, Kiefer, Wolfowitz).",
            f"(b) Dimensions by {len(estimators)} estimators with 95 % intervals, "
            f"{'the last from distances to learnt tokens, ' * (TO_LEARNT in estimators)}and (c) by maximum likelihood "
            "from more neighbours, or fewer points; "
            "the grey line is the width of the model.",
            f"Not estimated in (c): {', '.join(left_out)}." if left_out else "",
        )
    return shown.figure


def _draw_within(ax: Axes, table: pd.DataFrame) -> None:
    for name, rows in table.groupby("points", sort=False):
        look = LOOKS[name]
        ax.fill_between(rows.distance, rows.low, rows.high, color=look.colour, alpha=0.15, linewidth=0)
        # The marker that the other panels show, now and then.
        ax.plot(rows.distance, rows.value, look.marker, color=look.colour, linestyle=look.line, markevery=(5, 22))
    ax.set_xlim(left=0)
    ax.set_xlabel("distance ε to learnt tokens (of their spread)")
    ax.set_ylabel("share of tokens within ε")


def _draw_dimensions(ax: Axes, table: pd.DataFrame) -> None:
    words = {name: words for name, words in ESTIMATORS.items() if name in set(table.estimator)}
    _draw_readings(ax, table, table.estimator.map(list(words).index))
    ax.set_xticks(range(len(words)), list(words.values()))


def _draw_scale(ax: Axes, table: pd.DataFrame) -> None:
    """From more neighbours, then from fewer points: on both sides the scale grows coarser."""
    every = table[["kept", "n_neighbours"]].drop_duplicates()
    scales = sorted(every.itertuples(index=False, name=None), key=lambda scale: (-scale[0], scale[1]))
    place = pd.Series([scales.index(scale) for scale in zip(table.kept, table.n_neighbours, strict=True)], table.index)
    _draw_readings(ax, table, place)
    words = [f"{int(n)}" + f" of {kept:g}" * (kept < 1) for kept, n in scales]
    ax.set_xticks(range(len(scales)), words)
    ax.set_xlabel("neighbours, of all points or a share of them")


def _draw_readings(ax: Axes, table: pd.DataFrame, places: pd.Series) -> None:
    """Dimensions with intervals, on a logarithmic axis that reaches the width of the model."""
    for offset, (name, look) in zip(np.linspace(-0.28, 0.28, len(LOOKS)), LOOKS.items(), strict=True):
        rows = table.loc[table.points == name]
        x = places.loc[rows.index] + offset
        ax.vlines(x, rows.low, rows.high, color=look.colour, linewidth=1)
        ax.plot(x, rows.value, look.marker, color=look.colour, markersize=3)
    width, last = table.d_model.max(), places.max() + 0.5
    ax.axhline(width, color=GREY, linewidth=0.7)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=16))
    ax.yaxis.set_minor_formatter(NullFormatter())
    plain_numbers(ax.yaxis)
    ax.set_xlim(-0.5, last)
    ax.grid(False, axis="x")
    ax.set_ylabel("dimensions")
