"""Activations of texts that the model handles well lie near a set of low dimension (arXiv 2602.02343, assumption 4.1).

Pr[d(h, M) <= ε] >= 1 - δ is a curve of ε against δ: the quantiles of the distance from tokens of unseen pairs to those
learnt from. Alone it says little, since any cloud lies near itself. The baseline is therefore a mixture by token: its points
have the mean and the scatter of their own token's cloud. Clusters by token are no manifold, so the claim is that unseen tokens
lie nearer than these points. Two weaker baselines stand beside it: a Gaussian with the covariance of all activations, and the
tokens with every coordinate shuffled among them. Clusters finer than a token at a stretch of positions, such as those by the word
before it, count as structure here.

Any cloud also reads as fewer dimensions than the model is wide, a mixture by token as a twentieth of them. So the dimension is
judged against that mixture's too, both read from distances to the nearest learnt tokens: how they grow from one neighbour to the
next says in how many directions there is room. A linear subspace that is filled evenly has no fewer than its mixture.
Dimensions among the points themselves stand beside, against points that fill all directions evenly. Estimates from neighbours
are too low where dimensions are many, for all sets alike. The dimension depends on the scale, so at the steered site it is also
estimated from more neighbours and from fewer points.

Power is measured on simulated tokens: as many, with the same means and width, whose clouds are closed surfaces of dimension 2.
With few tokens such surfaces go unnoticed, and then seeing no manifold says nothing. Points of a second mixture, which has none,
must not pass for one.
"""

from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from mechsteer.manifolds import Neighbours, Subspace, grouped_dimensions, intrinsic_dimensions
from mechsteer.manifolds.base import from_centre
from mechsteer.manifolds.intrinsic_dimension import maximum_likelihood
from mechsteer.manifolds.nearest import nearest_points
from mechsteer.manifolds.sample import Sample
from mechsteer.statistics.intervals import percentile_interval, resampled_means, resampled_with
from mechsteer.statistics.judging import Claim, Outcome, judge, p_value

from ..evidence.evidence import Evidence, LayerActivations
from .mixture import Tokens, mixture
from .power import N_PLANTED_RESAMPLES, WRONG, Power, if_powerful, power_over_pairs
from .result import Result, undecided
from .tokens import MIN_POINTS, by_pair, if_enough, too_sparse

NAME = "manifold_exists"
ORDER = 30
THEME = "mechanism"
SCOPE = "model"
VERSION = 3
TITLES = {
    "distance": "Unseen activations lie near the learnt ones",
    "dimension": "Activations fill fewer dimensions than their tokens' clusters do",
}
FIGURE = "manifold_exists"

NEARER = 0.8
"""Largest distance, as a share of the mixture's, that counts as nearer. Clouds with tails as heavy as Student's with five
degrees of freedom lie at 0.9 of it, and clouds in 128 dimensions, each of a shape of its own, at 0.95."""
FEWER = 0.8
"""Largest dimension, as a share of the mixture's, that counts as fewer: clouds without a manifold read as 0.9 to 1.1 of it, a
torus as 0.3 to 0.5."""
REPEATED = 1e-3
"""Of the learning tokens' spread: what lies nearer to a learnt token is the same text again, not unseen."""
TO_LEARNT = "to_learnt"
"""The maximum likelihood from distances to learnt tokens, beside estimators from those among the points."""
BOUNDS = {"distance": (NEARER,), "dimension": (FEWER,)}
PLANTED = "each token's cloud is a closed surface of dimension 2"
N_CIRCLES = 2
"""Of the planted surface, whose points are turned in as many planes."""
SHARES = np.linspace(0.01, 0.99, 99)
N_NEIGHBOURS = (5, 10, 20, 40)
"""By which the dimension is read; the first is that of the claim."""
KEPT = (1.0, 0.5, 0.25)
"""Shares of the points by which it is read, from so many neighbours."""
N_SPLITS = 16
"""Into halves of the pairs, for the interval of each of these: its width is then known to a fifth."""
N_RESAMPLES = 2000
"""Twice as many as for an interval: a ratio is skewed, so p-values down to 0.01 are counted."""


def run(evidence: Evidence) -> Result:
    """The curves and dimensions of every layer; the claims are about the steered one."""
    if (too_few := too_sparse(evidence, NAME, tuple(TITLES))) is not None:
        return too_few
    curves, dimensions = [], []
    for layer, read in evidence.layers.items():
        rng = np.random.default_rng(evidence.seed)
        points = {
            "held out": read.base,
            "gaussian": gaussian_like(read.learning, len(read.base), rng),
            "shuffled": rng.permuted(read.base, axis=0),
        }
        filled = rng.normal(size=read.base.shape)
        mixed, known = _mixture(read, evidence, rng)
        # Of a token that was not learnt from the mixture says nothing: what is compared is over the same tokens.
        shown = known if known.any() else ~known
        compared = {name: some[shown] for name, some in points.items()} | {"mixture": mixed}
        distances = _distances(read.learning, compared)
        steps = _steps(read.learning, compared, evidence.token_pair[shown]) if known.any() else {}
        for name, values in distances.items():
            epsilon = np.quantile(values, SHARES)
            curves.append(pd.DataFrame({"layer": layer, "points": name, "share": SHARES, "distance": epsilon}))
        points |= {"mixture": mixed, "all directions": filled}
        readings = pd.concat([_dimensions(points, evidence), _to_learnt(steps, evidence.seed)], ignore_index=True)
        dimensions.append(readings.assign(layer=layer, d_model=read.base.shape[1]))
        if layer == evidence.site_layer:
            scale = _scale({name: some for name, some in points.items() if name != "shuffled"}, evidence, rng)
            scale = scale.assign(layer=layer, d_model=read.base.shape[1])
            surfaces = _surfaces(read, evidence)
            claims = (
                _distance_claim(evidence, distances, known, surfaces),
                _dimension_claim(evidence, steps, readings, surfaces),
            )
    tables = {"curve": pd.concat(curves, ignore_index=True), "dimension": pd.concat(dimensions, ignore_index=True)}
    return Result(claims, tables | {"scale": scale})


def gaussian_like(points: Float[ndarray, "points d"], n: int, rng: np.random.Generator) -> Float[ndarray, "n d"]:
    """Gaussian points with the mean and the covariance of these."""
    principal = Subspace.fit(points, n_components=points.shape[1])
    return principal.mean + rng.normal(size=(n, points.shape[1])) * np.sqrt(principal.spectrum) @ principal.components


def _mixture(
    read: LayerActivations, evidence: Evidence, rng: np.random.Generator
) -> tuple[Float[ndarray, "known d"], Bool[ndarray, " tokens"]]:
    learnt = Tokens(evidence.learning_token_id, evidence.learning_token_position)
    return mixture(read.learning, learnt, Tokens(evidence.token_id, evidence.token_position), rng)


def _surfaces(read: LayerActivations, evidence: Evidence) -> LayerActivations:
    """Tokens somewhere on a torus around the mean of the learning tokens of their id, as far from it as they are; where such a
    token is not met twice, as it was."""
    rng = np.random.default_rng([evidence.seed, 1])
    ids, of, counts = np.unique(evidence.learning_token_id, return_inverse=True, return_counts=True)
    means = np.stack([read.learning[of == row].mean(axis=0, dtype=np.float64) for row in range(len(ids))])
    apart = (read.learning - means[of])[counts[of] > 1]
    if len(apart) < MIN_POINTS:
        return read
    planes = Subspace.fit(apart, n_components=2 * N_CIRCLES).components
    radius = np.sqrt(np.square(apart).sum(axis=1).mean() / N_CIRCLES)

    def on_surfaces(points: ndarray, token: ndarray) -> ndarray:
        row = np.minimum(np.searchsorted(ids, token), len(ids) - 1)
        met_again = (ids[row] == token) & (counts[row] > 1)
        turns = rng.uniform(0, 2 * np.pi, (len(points), N_CIRCLES))
        around = radius * np.concatenate([np.cos(turns), np.sin(turns)], axis=1) @ planes
        return np.where(met_again[:, None], means[row] + around, points).astype(points.dtype)

    learning, base = on_surfaces(read.learning, evidence.learning_token_id), on_surfaces(read.base, evidence.token_id)
    return replace(read, learning=learning, base=base)


def _distances(learning: Float[ndarray, "points d"], sets: dict[str, ndarray]) -> dict[str, Float[ndarray, " tokens"]]:
    """To the nearest learning tokens, in units of the learning tokens' spread around their mean."""
    manifold = Neighbours.fit(learning)
    spread = np.sqrt(np.var(learning, axis=0).sum())
    return {name: manifold.distance(points) / spread for name, points in sets.items() if len(points)}


def _dimensions(sets: dict[str, ndarray], evidence: Evidence) -> pd.DataFrame:
    """By every estimator. Of the tokens only the pairs are independent; the points that they are held against all are."""
    rows = [
        (name, estimator, found.estimate, found.interval.low, found.interval.high)
        for name, points in sets.items()
        if len(points) >= MIN_POINTS or name != "mixture"
        for estimator, found in (
            grouped_dimensions(points, evidence.token_pair, seed=evidence.seed)
            if name == "held out"
            else intrinsic_dimensions(points)
        ).items()
    ]
    return pd.DataFrame(rows, columns=["points", "estimator", "estimate", "low", "high"])


def _steps(
    learning: Float[ndarray, "points d"], sets: dict[str, ndarray], token_pair: Int[ndarray, " tokens"]
) -> dict[str, Float[ndarray, " pairs"]]:
    """By how much the logarithm of the distance grows to the last of the nearest learnt tokens, in the mean over those before it:
    one over the dimension. A mean for each pair; empty where no pair has a token that is not met again."""
    sample = Sample.of(learning, n_kept=len(learning))
    near = {
        name: nearest_points(sample.points, from_centre(points, sample.centre, sample.points.dtype), N_NEIGHBOURS[0])[0]
        for name, points in sets.items()
    }
    is_unseen = near["held out"][:, 0] > REPEATED * np.sqrt(np.var(learning, axis=0).sum())
    if not is_unseen.any():
        return {}
    logs = {name: np.log(np.maximum(found[is_unseen], np.finfo(float).tiny)) for name, found in near.items()}
    rows = np.stack([(found[:, -1:] - found[:, :-1]).mean(axis=1) for found in logs.values()])
    return dict(zip(logs, by_pair(rows.astype(np.float64), token_pair[is_unseen]), strict=True))


def _to_learnt(steps: dict[str, Float[ndarray, " pairs"]], seed: int) -> pd.DataFrame:
    rows = []
    for name, values in steps.items():
        interval = percentile_interval(1 / resampled_means(values[None], N_RESAMPLES, seed)[:, 0])
        rows.append((name, TO_LEARNT, 1 / values.mean(), interval.low, interval.high))
    return pd.DataFrame(rows, columns=["points", "estimator", "estimate", "low", "high"])


def _scale(sets: dict[str, ndarray], evidence: Evidence, rng: np.random.Generator) -> pd.DataFrame:
    """The maximum likelihood's dimension at coarser and coarser scales, where there are points for it."""
    order = {name: rng.permutation(len(points)) for name, points in sets.items()}
    scales = [*((n, 1.0) for n in N_NEIGHBOURS), *((N_NEIGHBOURS[0], kept) for kept in KEPT[1:])]
    rows = []
    for (name, points), (n, kept) in product(sets.items(), scales):
        rows_kept = np.sort(order[name][: round(kept * len(points))])
        # Of the tokens, halves are read as well.
        if len(rows_kept) < 4 * n:
            continue
        by = {"": partial(maximum_likelihood, n_neighbours=n)}
        if name == "held out":
            group = evidence.token_pair[rows_kept]
            found = grouped_dimensions(points[rows_kept], group, estimators=by, n_splits=N_SPLITS, seed=evidence.seed)
        else:
            found = intrinsic_dimensions(points[rows_kept], estimators=by)
        rows.append((name, n, kept, found[""].estimate, found[""].interval.low, found[""].interval.high))
    return pd.DataFrame(rows, columns=["points", "n_neighbours", "kept", "estimate", "low", "high"])


def _distance_claim(
    evidence: Evidence, distances: dict[str, ndarray], known: Bool[ndarray, " tokens"], surfaces: LayerActivations
) -> Claim:
    unit = "distance of unseen tokens / of a mixture's points"
    control = "a mixture by token and position; a Gaussian of the same covariance; tokens with shuffled coordinates"
    if not known.any():
        because = "No token of the test pairs was learnt from often enough to estimate how it scatters. Learn from more pairs."
        return undecided(NAME, "distance", evidence.key, unit, because, control)
    nearer = _nearer(distances, evidence.token_pair[known])
    ratio, ratio_gaussian, ratio_shuffled = np.exp(nearer.mean(axis=1))
    drawn = np.exp(resampled_means(nearer[:1], N_RESAMPLES, evidence.seed)[:, 0])
    interval = percentile_interval(drawn)
    outcome = judge(interval, (0, NEARER))
    claim = Claim(
        claim=NAME,
        part="distance",
        key=evidence.key,
        estimate=float(ratio),
        unit=unit,
        interval=interval,
        control=control,
        outcome=outcome,
        p_value=p_value(drawn, (-np.inf, NEARER), outcome),
        because=f"Unseen tokens lie {ratio:.2f} times as far from the learnt ones as points of a mixture by token and position "
        f"do; at most {NEARER} counts as nearer. Against Gaussian points of the same covariance the ratio is "
        f"{ratio_gaussian:.2f}, against tokens with shuffled coordinates {ratio_shuffled:.2f}. The mixture covers "
        f"{known.mean():.0%} of the unseen tokens.",
    )
    claim = if_powerful(_power_of_distance(evidence, surfaces), claim, at_sight=Outcome.SUPPORTED)
    return if_enough(nearer.shape[1], claim)


def _nearer(distances: dict[str, ndarray], token_pair: ndarray) -> Float[ndarray, "others pairs"]:
    """Logarithms of how much nearer unseen tokens lie than the points that know less, a mean for each pair. The luck of these
    points counts as well, for they take part when pairs are drawn again."""
    logs = {name: np.log(np.maximum(values, np.finfo(float).tiny)) for name, values in distances.items()}
    others = [name for name in ("mixture", "gaussian", "shuffled") if name in logs]
    return by_pair(np.stack([logs["held out"] - logs[name] for name in others]), token_pair)


def _power_of_distance(evidence: Evidence, surfaces: LayerActivations) -> Power:
    mixed, known = _mixture(surfaces, evidence, np.random.default_rng([evidence.seed, 2]))
    distances = _distances(surfaces.learning, {"held out": surfaces.base[known], "mixture": mixed})

    def verdict(nearer: Float[ndarray, "1 pairs"], seed: int) -> Outcome:
        return judge(percentile_interval(np.exp(resampled_means(nearer, N_PLANTED_RESAMPLES, seed)[:, 0])), (0, NEARER))

    return power_over_pairs(PLANTED, verdict, _nearer(distances, evidence.token_pair[known]), evidence.seed)


def _dimension_claim(
    evidence: Evidence, steps: dict[str, Float[ndarray, " pairs"]], readings: pd.DataFrame, surfaces: LayerActivations
) -> Claim:
    unit = "dimension of unseen tokens / of a mixture's points"
    control = "a mixture by token and position"
    if not steps:
        because = "No unseen token was learnt from often enough to estimate how it scatters. Learn from more pairs."
        return undecided(NAME, "dimension", evidence.key, unit, because, control)
    both = np.stack([steps["mixture"], steps["held out"]])
    ratio, *drawn = _fewer(both, N_RESAMPLES, evidence.seed)
    interval = percentile_interval(np.array(drawn))
    outcome = judge(interval, (0, FEWER))
    by = readings.set_index(["estimator", "points"]).estimate
    claim = Claim(
        claim=NAME,
        part="dimension",
        key=evidence.key,
        estimate=float(ratio),
        unit=unit,
        interval=interval,
        control=control,
        outcome=outcome,
        p_value=p_value(np.array(drawn), (-np.inf, FEWER), outcome),
        because=f"By distances to learnt tokens, the dimension is {by[TO_LEARNT, 'held out']:.1f} for unseen tokens and "
        f"{by[TO_LEARNT, 'mixture']:.1f} for points of a mixture by token and position; at most {FEWER} times that counts as "
        f"fewer. Among themselves, points of a Gaussian of the same covariance read as "
        f"{by['maximum_likelihood', 'gaussian']:.1f} dimensions, and points that fill all {evidence.delta.shape[1]} as "
        f"{by['maximum_likelihood', 'all directions']:.1f}.",
    )
    read = evidence.layers[evidence.site_layer]
    without = replace(read, base=read.base.astype(np.float64))
    second, known = _mixture(read, evidence, np.random.default_rng([evidence.seed, 3]))
    without.base[known] = second
    luck = _power_of_dimension(evidence, without, "no manifold").found
    claim = if_powerful(_power_of_dimension(evidence, surfaces, PLANTED), claim, at_sight=Outcome.SUPPORTED)
    because = f"{claim.because} Of simulations without a manifold, {luck:.0%} support it."
    claim = replace(claim, because=because)
    if claim.outcome is Outcome.SUPPORTED and luck > WRONG:
        because += f" At most {WRONG:.0%} may, so this study cannot decide."
        claim = replace(claim, outcome=Outcome.INCONCLUSIVE, because=because, p_value=float("nan"))
    return if_enough(both.shape[1], claim)


def _fewer(steps: Float[ndarray, "2 pairs"], n_resamples: int, seed: int) -> Float[ndarray, " draws"]:
    """The dimension of the second as a share of the first's; of all pairs, then of pairs drawn again."""
    one, other = resampled_with(steps, n_resamples, seed).T
    return one / other


def _power_of_dimension(evidence: Evidence, planted: LayerActivations, truth: str) -> Power:
    mixed, known = _mixture(planted, evidence, np.random.default_rng([evidence.seed, 2]))
    sets = {"held out": planted.base[known], "mixture": mixed}
    steps = _steps(planted.learning, sets, evidence.token_pair[known])
    if not steps:
        return Power(truth, 0.0, 0.0)

    def verdict(steps: Float[ndarray, "2 pairs"], seed: int) -> Outcome:
        return judge(percentile_interval(_fewer(steps, N_PLANTED_RESAMPLES, seed)[1:]), (0, FEWER))

    return power_over_pairs(truth, verdict, np.stack([steps["mixture"], steps["held out"]]), evidence.seed)
