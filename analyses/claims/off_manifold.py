"""Steering leaves the manifold, and where it does, validity falls (arXiv 2602.02343, assumption 4.2, eqs. 10-11).

Three claims about the steered site. `growth`: the larger |m|, the further out. `explains`: among pairs under the *same*
multiplier, those that were taken further out lose more utility; distance and loss both grow with |m|, so only such
comparisons tell whether distance matters. Completion length, which moves both, is taken out. Which distance explains
most is chosen on other pairs than those that it is judged by. `monotone`: of two multipliers, the one that takes a
pair further out leaves it less utility.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.stats import norm, rankdata

from mechsteer.families import MANIFOLDS
from mechsteer.manifolds import LocalTangent, Manifold, intrinsic_dimensions
from mechsteer.manifolds.geometry import shift_geometry
from mechsteer.statistics.intervals import alternate_folds, percentile_interval, resampled_means
from mechsteer.statistics.judging import Claim, Outcome, judge, p_value

from ..evidence.evidence import Evidence, LayerActivations
from .result import Result, too_few, undecided
from .tokens import by_pair, if_enough, too_sparse

NAME = "off_manifold"
ORDER = 40
TITLES = {
    "growth": "Larger multipliers go further off the manifold",
    "explains": "At one multiplier, pairs taken further off lose more utility",
    "monotone": "Further off the manifold, utility is lower",
}
CHECKS = ("growth",)
FIGURE = "utility_distance"

MOSTLY = 0.75
"""Least share of comparisons that counts as a rule: three in four, where luck gives two."""
NOTICEABLE = 0.3
"""A distance that surely explains less of the ranks (correlation; a tenth of their variance) explains nothing to speak of."""
ASSUMES_LEAST = "neighbours"
"""The distance that growth and monotony are judged by."""
TANGENT = "tangent"
TANGENT_NEIGHBOURS = 24
SPLIT_TOKENS = 200
"""Tokens for the parts of a shift at each layer: a tangent for each of them costs most of the time."""
N_RESAMPLES = 1999
N_EXCHANGES = 9999


def run(evidence: Evidence) -> Result:
    """Distances and parts of the shift at every layer; claims, and a row for each pair, at the steered one."""
    if (sparse := too_sparse(evidence, NAME, tuple(TITLES))) is not None:
        return sparse
    pairs = np.unique(evidence.token_pair)
    rows = np.array([np.argmin(np.abs(evidence.sweep.multipliers - m)) for m in evidence.multipliers])
    zero = evidence.sweep.zero
    utility = evidence.sweep.utility[:, pairs]
    loss = utility[zero] - utility[rows]
    defined = np.isfinite(loss).all(axis=0)
    loss, lengths = loss[:, defined], (evidence.sweep.tokens_positive + evidence.sweep.tokens_negative)[pairs][defined]

    distances, splits, explained, at_site = [], [], [], {}
    for layer, read in evidence.layers.items():
        tangent = _tangent(read, evidence.seed)
        # A tangent for each token costs most of the time: at the steered site alone.
        manifolds = _manifolds(read) | ({TANGENT: tangent} if layer == evidence.site_layer else {})
        growth = _growth(read, manifolds, evidence)
        distances.append(_distance_table(evidence.multipliers, growth, evidence.seed).assign(layer=layer))
        splits.append(_split_table(evidence, read, tangent).assign(layer=layer))
        growth = {name: values[:, defined] for name, values in growth.items()}
        if defined.sum() > 1:
            explained.append(_explained_table(growth, loss, lengths, evidence.seed).assign(layer=layer))
        if layer == evidence.site_layer:
            at_site = growth

    tables = {"distance": pd.concat(distances, ignore_index=True), "split": pd.concat(splits, ignore_index=True)}
    if not explained:
        because = too_few(int(defined.sum()))
        return Result(tuple(undecided(NAME, part, evidence.key, "", because) for part in TITLES), tables)
    tables |= {"explained": pd.concat(explained, ignore_index=True)}
    tables |= {"pair": _pair_table(evidence, pairs[defined], at_site, loss)}
    claims = (
        _growth_claim(evidence, at_site),
        _explains(evidence, at_site, loss, lengths),
        _monotone(evidence, at_site, loss),
    )
    return Result(tuple(if_enough(int(defined.sum()), claim) for claim in claims), tables)


def _manifolds(read: LayerActivations) -> dict[str, Manifold]:
    """Every manifold of the family but the tangent, by its distance's name."""
    return {
        member.get("DISTANCE", name.lower()): MANIFOLDS.load(name).fit(read.learning)
        for name, member in MANIFOLDS.members().items()
        if member.get("DISTANCE") != TANGENT
    }


def _tangent(read: LayerActivations, seed: int) -> LocalTangent:
    """With at most half as many dimensions as neighbours, or the tangent is their noise."""
    n_neighbours = min(TANGENT_NEIGHBOURS, len(read.learning) // 4)
    found = intrinsic_dimensions(read.learning, seed=seed)["maximum_likelihood"].estimate
    dimension = int(np.clip(round(found), 1, n_neighbours // 2))
    return LocalTangent.fit(read.learning, dimension=dimension, n_neighbours=n_neighbours, seed=seed)


def _growth(
    read: LayerActivations, manifolds: Mapping[str, Manifold], evidence: Evidence
) -> dict[str, Float[ndarray, "k pairs"]]:
    """How much further out each multiplier takes a pair's tokens, on average."""
    found = {}
    for name, manifold in manifolds.items():
        steered = np.array([manifold.distance(h) for h in read.steered])
        found[name] = by_pair(steered - manifold.distance(read.base), evidence.token_pair)
    return found


def _distance_table(
    multipliers: Float[ndarray, " k"], growth: Mapping[str, Float[ndarray, "k pairs"]], seed: int
) -> pd.DataFrame:
    """Means over pairs with intervals, by distance and multiplier."""
    values = np.concatenate(list(growth.values()))
    intervals = [percentile_interval(draws) for draws in resampled_means(values, N_RESAMPLES, seed).T]
    columns = {"distance": np.repeat(list(growth), len(multipliers)), "multiplier": np.tile(multipliers, len(growth))}
    columns |= {"growth": values.mean(axis=1), "low": [item.low for item in intervals]}
    return pd.DataFrame(columns | {"high": [item.high for item in intervals]})


def _split_table(evidence: Evidence, read: LayerActivations, tangent: LocalTangent) -> pd.DataFrame:
    """Means over tokens of each part of the shift, as shares of ‖h‖ but for the angle."""
    n_tokens = len(read.base)
    chosen = np.random.default_rng(evidence.seed).choice(n_tokens, min(SPLIT_TOKENS, n_tokens), replace=False)
    base = read.base[chosen]
    norm = np.linalg.norm(base, axis=1)
    rows = []
    for multiplier, steered in zip(evidence.multipliers, read.steered, strict=True):
        found = shift_geometry(base, steered[chosen], {}, tangent)
        parts = (found.relative_size, found.along / norm, found.normal / norm, found.angle, found.radial)
        rows.append((multiplier, *(float(np.mean(part)) for part in parts)))
    return pd.DataFrame(rows, columns=["multiplier", "relative_size", "along", "normal", "angle", "radial"])


def _pair_table(
    evidence: Evidence, pairs: ndarray, growth: Mapping[str, Float[ndarray, "k pairs"]], loss: Float[ndarray, "k pairs"]
) -> pd.DataFrame:
    n_multipliers, n_pairs = loss.shape
    columns = {"multiplier": np.repeat(evidence.multipliers, n_pairs)}
    columns |= {"pair": np.tile(np.array(evidence.sweep.pairs, dtype=object)[pairs], n_multipliers)}
    columns |= {name: values.ravel() for name, values in growth.items()}
    return pd.DataFrame(columns | {"utility_loss": loss.ravel()})


def _concordance(
    x: Float[ndarray, "k pairs"], y: Float[ndarray, "k pairs"], compared: Bool[ndarray, "k k"]
) -> Float[ndarray, " pairs"]:
    """For each pair, the share of comparisons between two multipliers in which x and y rise together."""
    first, second = np.nonzero(np.triu(compared, 1))
    return np.mean((x[first] - x[second]) * (y[first] - y[second]) > 0, axis=0)


def _growth_claim(evidence: Evidence, growth: Mapping[str, Float[ndarray, "k pairs"]]) -> Claim:
    m = evidence.multipliers
    values = growth[ASSUMES_LEAST]
    size = np.broadcast_to(np.abs(m)[:, None], values.shape)
    shares = _concordance(size, values, np.sign(m)[:, None] == np.sign(m))
    return _share_claim(
        evidence,
        "growth",
        shares,
        f"In {shares.mean():.0%} of comparisons between two multipliers of one sign, the larger takes a pair further from "
        f"its nearest neighbours on the manifold; {MOSTLY:.0%} make a rule.",
    )


def _monotone(evidence: Evidence, growth: Mapping[str, Float[ndarray, "k pairs"]], loss: ndarray) -> Claim:
    shares = _concordance(growth[ASSUMES_LEAST], loss, np.ones((len(loss), len(loss)), bool))
    return _share_claim(
        evidence,
        "monotone",
        shares,
        f"In {shares.mean():.0%} of comparisons between two multipliers, the one that takes a pair further out leaves it "
        f"less utility; {MOSTLY:.0%} make a rule.",
    )


def _share_claim(evidence: Evidence, part: str, shares: Float[ndarray, " pairs"], because: str) -> Claim:
    drawn, allowed = resampled_means(shares[None], N_RESAMPLES, evidence.seed)[:, 0], (MOSTLY, np.inf)
    interval = percentile_interval(drawn)
    outcome = judge(interval, allowed)
    return Claim(
        claim=NAME,
        part=part,
        key=evidence.key,
        estimate=float(shares.mean()),
        unit="share of comparisons",
        interval=interval,
        control="one half, which luck gives",
        outcome=outcome,
        because=because,
        p_value=p_value(drawn, allowed, outcome),
    )


def _residual_ranks(values: Float[ndarray, "k pairs"], lengths: Int[ndarray, " pairs"]) -> Float[ndarray, "k pairs"]:
    """Ranks among the pairs under each multiplier, less what the rank of their length predicts."""
    ranks, length = (rankdata(item, axis=-1) - (item.shape[-1] + 1) / 2 for item in (values, lengths))
    size = length @ length
    return ranks - np.outer(ranks @ length / size, length) if size > 0 else ranks


def _correlation(products: Float[ndarray, "*batch 3"]) -> Float[ndarray, "*batch"]:
    """From (xy, xx, yy), summed or averaged alike; zero where one does not vary."""
    xy, xx, yy = np.moveaxis(products, -1, 0)
    scale = np.sqrt(xx * yy)
    return np.divide(xy, scale, out=np.zeros_like(xy), where=scale > 0)


def _products(x: Float[ndarray, "k pairs"], y: Float[ndarray, "k pairs"]) -> Float[ndarray, "3 pairs"]:
    return np.stack([(x * y).sum(axis=0), (x * x).sum(axis=0), (y * y).sum(axis=0)])


def _explained_table(
    growth: Mapping[str, Float[ndarray, "k pairs"]],
    loss: Float[ndarray, "k pairs"],
    lengths: Int[ndarray, " pairs"],
    seed: int,
) -> pd.DataFrame:
    """The partial rank correlation of each distance with the loss, given the multiplier and the completions' length."""
    ranks_loss = _residual_ranks(loss, lengths)
    products = np.concatenate([_products(_residual_ranks(values, lengths), ranks_loss) for values in growth.values()])
    found = _correlation(products.sum(axis=1).reshape(-1, 3))
    resamples = _correlation(resampled_means(products, N_RESAMPLES, seed).reshape(-1, len(growth), 3))
    intervals = [percentile_interval(draws) for draws in resamples.T]
    columns = {"distance": list(growth), "correlation": found, "low": [item.low for item in intervals]}
    return pd.DataFrame(columns | {"high": [item.high for item in intervals]})


def _explains(
    evidence: Evidence,
    growth: Mapping[str, Float[ndarray, "k pairs"]],
    loss: Float[ndarray, "k pairs"],
    lengths: Int[ndarray, " pairs"],
) -> Claim:
    """Each half of the pairs is judged by the distance that explains most in the other half."""
    x, y, chosen = np.zeros_like(loss), np.zeros_like(loss), []
    folds = alternate_folds(loss.shape[1])
    for fold in (0, 1):
        scores = {}
        for name, values in growth.items():
            seen = (_residual_ranks(item[:, folds != fold], lengths[folds != fold]) for item in (values, loss))
            scores[name] = _correlation(_products(*seen).sum(axis=1))
        chosen.append(max(scores, key=lambda name: scores[name]))
        x[:, folds == fold] = _residual_ranks(growth[chosen[-1]][:, folds == fold], lengths[folds == fold])
        y[:, folds == fold] = _residual_ranks(loss[:, folds == fold], lengths[folds == fold])
    products = _products(x, y)
    estimate = float(_correlation(products.sum(axis=1)))
    resamples = _correlation(resampled_means(products, N_RESAMPLES, evidence.seed))
    interval = percentile_interval(resamples)

    luck = _permuted(x, y, np.random.default_rng(evidence.seed))
    outcome, p_value = Outcome.INCONCLUSIVE, float(np.mean(np.append(luck, estimate) >= estimate))
    if interval.high < NOTICEABLE:
        # Of the opposite: that the correlation is noticeable.
        outcome, p_value = Outcome.REFUTED, float(norm.sf((NOTICEABLE - estimate) / resamples.std()))
    elif interval.low > 0:
        outcome = Outcome.SUPPORTED
    best = " and ".join(dict.fromkeys(chosen))
    return Claim(
        claim=NAME,
        part="explains",
        key=evidence.key,
        estimate=estimate,
        unit="partial rank correlation",
        interval=interval,
        control="distances exchanged among pairs under the same multiplier",
        outcome=outcome,
        because=f"Among unseen pairs under one multiplier, distance ({best}) and loss of utility correlate by {estimate:.2f} "
        f"given completion length; exchanged distances reach {np.quantile(luck, 0.95):.2f} in one of twenty cases, and "
        f"below {NOTICEABLE} is nothing to speak of.",
        p_value=p_value,
    )


def _permuted(
    x: Float[ndarray, "k pairs"], y: Float[ndarray, "k pairs"], rng: np.random.Generator
) -> Float[ndarray, " exchanges"]:
    """Correlations when whole rows of multipliers are exchanged among pairs."""
    n_pairs = x.shape[1]
    exchanged = rng.permuted(np.tile(np.arange(n_pairs), (N_EXCHANGES, 1)), axis=1)
    scale = np.sqrt(np.sum(x * x) * np.sum(y * y))
    return (x.T @ y)[exchanged, np.arange(n_pairs)].sum(axis=1) / (scale if scale > 0 else 1)
