"""Activations of texts that the model handles well lie near a set of low dimension (arXiv 2602.02343, assumption 4.1).

Pr[d(h, M) <= ε] >= 1 - δ is a curve of ε against δ: the quantiles of the distance from tokens of unseen pairs to those
learnt from. Alone it says little, for any cloud lies near itself. So the same curve is drawn for points of a Gaussian
with the same covariance, which have all that a linear view knows of the activations, and for the tokens with every
coordinate shuffled among them, which have its values alone. The dimension of the unseen tokens is measured against points
that fill all directions evenly, as many and as wide, for every estimate from neighbours is low where dimensions are many.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.manifolds import Neighbours, Subspace, grouped_dimensions, intrinsic_dimensions
from mechsteer.statistics.intervals import ConfidenceInterval, percentile_interval, resampled_means
from mechsteer.statistics.judging import Claim, interval_p_value, judge, p_value

from ..evidence.evidence import Evidence
from .result import Result
from .tokens import by_pair, if_enough, too_sparse

NAME = "manifold_exists"
ORDER = 30
SCOPE = "model"
TITLES = {
    "distance": "Unseen activations lie near the learnt ones",
    "dimension": "Activations fill few dimensions",
}
FIGURE = "manifold_exists"

NEARER = 0.9
"""Largest distance, as a share of the Gaussian's, that counts as nearer: a tenth is beyond errors of the covariance."""
FAR_BELOW = 0.5
"""Largest dimension, as a share of the reading for full dimension: at 1,500 points that is d_model / 5 or so."""
SHARES = np.linspace(0.01, 0.99, 99)
N_RESAMPLES = 2000


def run(evidence: Evidence) -> Result:
    """The curves and dimensions of every layer; the claims are about the steered one."""
    if (undecided := too_sparse(evidence, NAME, tuple(TITLES))) is not None:
        return undecided
    curves, dimensions = [], []
    for layer, read in evidence.layers.items():
        rng = np.random.default_rng(evidence.seed)
        points = {
            "held out": read.base,
            "gaussian": gaussian_like(read.learning, len(read.base), rng),
            "shuffled": rng.permuted(read.base, axis=0),
        }
        distances = _distances(read.learning, points)
        for name, values in distances.items():
            epsilon = np.quantile(values, SHARES)
            curves.append(pd.DataFrame({"layer": layer, "points": name, "share": SHARES, "distance": epsilon}))
        readings = _dimensions(points | {"all directions": rng.normal(size=read.base.shape)}, evidence)
        dimensions.append(readings.assign(layer=layer, d_model=read.base.shape[1]))
        if layer == evidence.site_layer:
            claims = (_distance_claim(evidence, distances), _dimension_claim(evidence, readings))
            claims = tuple(if_enough(len(np.unique(evidence.token_pair)), claim) for claim in claims)
    tables = {"curve": pd.concat(curves, ignore_index=True), "dimension": pd.concat(dimensions, ignore_index=True)}
    return Result(claims, tables)


def gaussian_like(points: Float[ndarray, "points d"], n: int, rng: np.random.Generator) -> Float[ndarray, "n d"]:
    """Gaussian points with the mean and the covariance of these."""
    principal = Subspace.fit(points, n_components=points.shape[1])
    return principal.mean + rng.normal(size=(n, points.shape[1])) * np.sqrt(principal.spectrum) @ principal.components


def _distances(learning: Float[ndarray, "points d"], sets: dict[str, ndarray]) -> dict[str, Float[ndarray, " tokens"]]:
    """To the nearest learning tokens, in units of the learning tokens' spread around their mean."""
    manifold = Neighbours.fit(learning)
    spread = np.sqrt(np.var(learning, axis=0).sum())
    return {name: manifold.distance(points) / spread for name, points in sets.items()}


def _dimensions(sets: dict[str, ndarray], evidence: Evidence) -> pd.DataFrame:
    """By every estimator. Of the tokens only the pairs are independent; the points that they are held against all are."""
    rows = [
        (name, estimator, found.estimate, found.interval.low, found.interval.high)
        for name, points in sets.items()
        for estimator, found in (
            grouped_dimensions(points, evidence.token_pair, seed=evidence.seed)
            if name == "held out"
            else intrinsic_dimensions(points)
        ).items()
    ]
    return pd.DataFrame(rows, columns=["points", "estimator", "estimate", "low", "high"])


def _distance_claim(evidence: Evidence, distances: dict[str, ndarray]) -> Claim:
    # Ratios of geometric means. The Gaussian's points take part in the resampling: their luck counts as well.
    logs = {name: np.log(np.maximum(values, np.finfo(float).tiny)) for name, values in distances.items()}
    against = np.stack([logs["held out"] - logs["gaussian"], logs["held out"] - logs["shuffled"]])
    pair_means = by_pair(against, evidence.token_pair)
    ratio, ratio_shuffled = np.exp(pair_means.mean(axis=1))
    drawn = np.exp(resampled_means(pair_means[:1], N_RESAMPLES, evidence.seed)[:, 0])
    interval = percentile_interval(drawn)
    outcome = judge(interval, (0, NEARER))
    return Claim(
        claim=NAME,
        part="distance",
        key=evidence.key,
        estimate=float(ratio),
        unit="distance of unseen tokens / of Gaussian points",
        interval=interval,
        control="points of a Gaussian with the same covariance; tokens with shuffled coordinates",
        outcome=outcome,
        p_value=p_value(drawn, (-np.inf, NEARER), outcome),
        because=f"Unseen tokens lie at {ratio:.2f} of the distance at which Gaussian points of the same covariance lie, and at "
        f"{ratio_shuffled:.2f} of that of shuffled tokens; at most {NEARER} counts as nearer.",
    )


def _dimension_claim(evidence: Evidence, readings: pd.DataFrame) -> Claim:
    by_points = readings[readings.estimator == "maximum_likelihood"].set_index("points")
    found, full = by_points.loc["held out"], by_points.loc["all directions"]
    interval = ConfidenceInterval(float(found.low / full.high), float(found.high / full.low))
    outcome = judge(interval, (0, FAR_BELOW))
    return Claim(
        claim=NAME,
        part="dimension",
        key=evidence.key,
        estimate=float(found.estimate / full.estimate),
        unit="dimension / reading for full dimension",
        interval=interval,
        control="as many points that fill all directions evenly",
        outcome=outcome,
        p_value=interval_p_value(interval, (-np.inf, FAR_BELOW), outcome),
        because=f"Unseen tokens read as {found.estimate:.1f} dimensions, Gaussian points of the same covariance as "
        f"{by_points.estimate['gaussian']:.1f}, and points that fill all {evidence.delta.shape[1]} directions as "
        f"{full.estimate:.1f}; at most {FAR_BELOW} of the latter is far below.",
    )
