"""Whether distance does harm: directions of equal length by the distance gained, and how every distance fares as a predictor."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study

from .drawing.panels import Place, key, panels, zero_lines
from .drawing.saved import saved
from .drawing.style import BLACK, GREY, Look, shades

NAME = "causes"
ORDER = 86

PLAIN, GIVEN = Look(GREY, "o"), Look(BLACK, "D")


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each direction (distance, incoherence), and one for each predictor (rank correlations with incoherence)."""
    directions, predictors = (saved(study, f"claims/causes-{name}") for name in ("directions", "predictors"))
    if directions is None or predictors is None:
        return None
    shown = directions.rename(columns={"neighbours, raw": "value"}).loc[
        :, ["family", "direction", "value", "incoherence"]
    ]
    names = ["predictor", "estimate", "low", "high", "given_fisher_estimate", "given_fisher_low", "given_fisher_high"]
    return pd.concat(
        [shown.assign(unit="activation"), predictors.loc[:, names].assign(unit="correlation")], ignore_index=True
    )


def draw(study: Study, ax: Place = None) -> Figure | None:
    """Two panels: incoherence against distance, and correlations of every predictor."""
    table = numbers(study)
    if table is None:
        return None
    directions, predictors = table.dropna(subset="family"), table.dropna(subset="predictor")
    looks = shades(directions.family)
    with panels(ax, 2, 1, height=2.9 + 0.17 * len(predictors), ratios=(1.6, 0.17 * len(predictors))) as shown:
        cloud, scores = shown.axes
        for family, look in looks.items():
            rows = directions.loc[directions.family == family]
            cloud.plot(rows.value, rows.incoherence, color=look.colour, marker=look.marker, linestyle="", alpha=0.8)
        cloud.set_xlabel("distance gained to neighbours (Euclidean)")
        cloud.set_ylabel("incoherence")
        at = np.arange(len(predictors))[::-1]
        for offset, look, prefix in ((0.17, PLAIN, ""), (-0.17, GIVEN, "given_fisher_")):
            estimate, low, high = (predictors[f"{prefix}{name}"] for name in ("estimate", "low", "high"))
            scores.hlines(at + offset, low, high, color=look.colour, linewidth=0.8)
            scores.plot(estimate, at + offset, color=look.colour, marker=look.marker, linestyle="", markersize=2.5)
        scores.set_yticks(at, predictors.predictor)
        scores.tick_params(axis="y", labelsize=6.5, length=0)
        scores.set_xlim(-1, 1)
        scores.set_xticks(np.linspace(-1, 1, 5))
        scores.set_ylim(-0.6, len(predictors) - 0.4)
        scores.set_xlabel("rank correlation with incoherence (95 %)")
        zero_lines(scores)
        handles = [key(family, look) for family, look in looks.items()]
        handles += [
            key("(b) as they are", PLAIN, linestyle="-"),
            key("(b) given the Fisher form", GIVEN, linestyle="-"),
        ]
        shown.legend(handles)
        shown.caption(
            "(a) A point for each direction, by its family.",
            "(b) How distances in each metric, and measures without one, are correlated with incoherence (rank, 95 %), "
            "as they are and given the Fisher form of the output.",
        )
    return shown.figure
