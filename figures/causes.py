"""Whether distance does harm: directions of equal length by the distance gained, and how every distance fares as a predictor."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study

from .drawing.panels import Place, key, panels, zero_lines
from .drawing.saved import saved, site_of
from .drawing.style import BLACK, GREY, Look, shades

NAME = "causes"
ORDER = 86

INCOHERENCE = {
    "share": "Incoherence: the share of answers that are invalid, less that of unsteered ones.",
    "nats / token": "Incoherence: by how much the model's own loss on its answers differs from unsteered.",
}
"""By its unit: where an exact checker judges what is written, and elsewhere."""
ABOUT = (
    "(a) A point for each direction, all equally long, by distance in raw units of activations: principal axes with the "
    "most or the least variance; random ones "
    "(isotropic, with the activations' covariance, or within the leading components); differences of two tokens' activations "
    "(real tokens), or of those at one place of a pair's two texts (like contexts); the steer, whole and in parts; DiffMean of "
    "other concepts.",
    "(b) Rank correlations with incoherence, as they are and given the Fisher form. Distances to neighbours, to a subspace, from "
    "a Gaussian's centre and off the tangent are of activations as they are (raw), whitened, as the next norm passes them on, or "
    "without the three coordinates of most variance. Second moment and conditional: the size of the shift by the activations' "
    "second moments, and by the variance of each coordinate given all others; Fisher: the Fisher form of the output; "
    "divergence: of the output on neutral text.",
)
"""What a caption says of families and predictors, whose names in the tables are short."""
SHORT = {"within the leading components": "within leading"}
FISHER = "fisher"
PLAIN, GIVEN = Look(GREY, "o"), Look(BLACK, "D")


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each direction (distance, incoherence in its unit), and one for each predictor (rank correlations with
    incoherence)."""
    directions, predictors = (saved(study, f"claims/causes-{name}") for name in ("directions", "predictors"))
    if directions is None or predictors is None:
        return None
    shown = directions.rename(columns={"neighbours, raw": "value"})
    shown = shown.loc[:, ["family", "direction", "value", "incoherence"]].assign(
        unit="raw units", incoherence_unit="share" if study.summary.get("concept") else "nats / token"
    )
    names = ["predictor", "estimate", "low", "high", "given_fisher_estimate", "given_fisher_low", "given_fisher_high"]
    predictors = predictors.loc[:, names].assign(unit="correlation")
    # Given itself it predicts nothing, by construction.
    given = [name for name in names if name.startswith("given_fisher")]
    predictors[given] = predictors[given].astype(np.float64).mask(predictors.predictor == FISHER)
    return pd.concat([shown, predictors], ignore_index=True)


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
        unit = directions.incoherence_unit.iloc[0]
        cloud.set_xlabel("distance gained to neighbours (raw units)")
        cloud.set_ylabel(f"incoherence ({unit})")
        at = np.arange(len(predictors))[::-1]
        for offset, look, prefix in ((0.17, PLAIN, ""), (-0.17, GIVEN, "given_fisher_")):
            estimate, low, high = (predictors[f"{prefix}{name}"] for name in ("estimate", "low", "high"))
            scores.hlines(at + offset, low, high, color=look.colour, linewidth=0.8)
            scores.plot(estimate, at + offset, color=look.colour, marker=look.marker, linestyle="", markersize=2.5)
        scores.set_yticks(at, [_named(name) for name in predictors.predictor])
        scores.tick_params(axis="y", labelsize=6.5, length=0)
        scores.set_xlim(-1, 1)
        scores.set_xticks(np.linspace(-1, 1, 5))
        scores.set_ylim(-0.6, len(predictors) - 0.4)
        scores.set_xlabel("rank correlation with incoherence (95 %)")
        zero_lines(scores)
        handles = [key(SHORT.get(str(family), str(family)), look) for family, look in looks.items()]
        handles += [
            key("(b) as they are", PLAIN, linestyle="-"),
            key("(b) given Fisher", GIVEN, linestyle="-"),
        ]
        shown.legend(handles)
        shown.caption(f"Directions at {site_of(study)}.", INCOHERENCE[unit], *ABOUT)
    return shown.figure


def _named(predictor: str) -> str:
    """With the capitals of those whose names they are."""
    return predictor.replace("gaussian", "Gaussian").replace("fisher", "Fisher")
