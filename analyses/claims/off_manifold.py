"""Steering leaves the manifold, and where it does, validity falls (arXiv 2602.02343, assumption 4.2, eqs. 10-11).

Three claims concern the steered site. `growth`: distance grows with |m|. It must, so this is a check. `explains`: among pairs
under the *same* multiplier, those taken further out lose more utility. Distance and loss both grow with |m|, so only such
comparisons tell whether distance matters. They need a shift that differs between pairs, as under a LoRA or a local weight; a
vector takes all pairs equally far. Completion length affects both and is partialled out. The distance that explains most is
chosen on other pairs than those by which it is judged. `monotone`: of two multipliers of one sign, the one that takes a pair
further out leaves it less utility. If it mostly leaves more, that refutes. To support, only comparisons count in which the
smaller multiplier takes the pair further out: in all others, |m| says as much. Where a shift grows with |m| there are none. The
power of the last two is measured by simulating losses that distance alone determines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.stats import norm, rankdata

from mechsteer.families import MANIFOLDS
from mechsteer.manifolds import LocalTangent, Manifold, intrinsic_dimensions
from mechsteer.manifolds.geometry import shift_geometry
from mechsteer.statistics.intervals import alternate_folds, percentile_interval, resampled_means, resampled_with
from mechsteer.statistics.judging import Claim, Outcome, judge, p_value

from ..evidence.evidence import Evidence, LayerActivations
from .by_distance import ByDistance
from .power import N_PLANTED_RESAMPLES, if_powerful, power
from .result import MIN_PAIRS, Result, too_few, undecided
from .sampled import Sampled
from .tokens import by_pair, if_enough, too_sparse

NAME = "off_manifold"
ORDER = 40
THEME = "mechanism"
TITLES = {
    "growth": "Larger multipliers go further off the manifold",
    "explains": "At one multiplier, pairs taken further off lose more utility",
    "monotone": "Further off the manifold utility is lower, whatever the multiplier",
}
CHECKS = ("growth",)
VERSION = 4
FIGURE = "utility_distance"

MOSTLY = 0.75
"""Least share of comparisons that counts as a rule: three in four, where luck gives two."""
A_RULE = (MOSTLY, np.inf)
LUCK = 0.5
NOTICEABLE = 0.3
"""A distance that surely explains less of the ranks (correlation; a tenth of their variance) explains nothing to speak of."""
BOUNDS, EITHER = {"explains": (0.0, NOTICEABLE)}, ("explains",)
VARIES = 0.01
"""Least variation of the shift between pairs, as a share of its size, that makes them comparable: under a vector there is
none but rounding, under a LoRA or a local weight tenths."""
ASSUMES_LEAST = "neighbours"
"""The distance that growth and monotony are judged by."""
SHARES = "share of comparisons"
TANGENT = "tangent"
TANGENT_NEIGHBOURS = 24
SPLIT_TOKENS = 200
"""Tokens for the parts of a shift at each layer: a tangent for each of them costs most of the time."""
N_RESAMPLES = 1999
"""About twice as many as for an interval: shares have bounds, so p-values down to 0.01 are counted."""
N_EXCHANGES = 9999
"""With the estimate itself ten thousand: the least p-value is 0.0001, the least that is told."""
DECIDES = "distance alone determines what is lost"


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
    lengths = (evidence.sweep.tokens_positive + evidence.sweep.tokens_negative)[pairs]
    loss = loss[:, defined]

    distances, splits, explained, at_site, of_tokens = [], [], [], {}, {}
    for layer, read in evidence.layers.items():
        tangent = _tangent(read, evidence.seed)
        # A tangent for each token costs most of the time: at the steered site alone.
        manifolds = manifolds_of(read.learning) | ({TANGENT: tangent} if layer == evidence.site_layer else {})
        grown = growth_of(read, manifolds)
        growth = {name: by_pair(values, evidence.token_pair) for name, values in grown.items()}
        distances.append(distance_table(evidence.multipliers, growth, evidence.seed).assign(layer=layer))
        splits.append(_split_table(evidence, read, tangent).assign(layer=layer))
        growth = {name: values[:, defined] for name, values in growth.items()}
        if defined.sum() > 1:
            explained.append(_explained_table(growth, loss, lengths[defined], evidence.seed).assign(layer=layer))
        if layer == evidence.site_layer:
            at_site, of_tokens = growth, grown

    tables = {"distance": pd.concat(distances, ignore_index=True), "split": pd.concat(splits, ignore_index=True)}
    if not explained:
        because = too_few(int(defined.sum()))
        return Result(tuple(undecided(NAME, part, evidence.key, "", because) for part in TITLES), tables)
    tables |= {"explained": pd.concat(explained, ignore_index=True)}
    tables |= {"pair": _pair_table(evidence, pairs[defined], at_site, loss)}
    measured = Sampled.of(of_tokens[ASSUMES_LEAST], evidence.token_pair, lengths)[defined]
    planted = ByDistance(evidence.multipliers, measured, loss)
    claims = (
        _growth_claim(evidence, at_site),
        _explains(evidence, at_site, planted, lengths[defined]),
        _monotone(evidence, at_site[ASSUMES_LEAST], planted),
    )
    return Result(tuple(if_enough(int(defined.sum()), claim) for claim in claims), tables)


def manifolds_of(learning: Float[ndarray, "points d"]) -> dict[str, Manifold]:
    """Every manifold of the family but the tangent, by its distance's name."""
    return {
        member.get("DISTANCE", name.lower()): MANIFOLDS.load(name).fit(learning)
        for name, member in MANIFOLDS.members().items()
        if member.get("DISTANCE") != TANGENT
    }


def _tangent(read: LayerActivations, seed: int) -> LocalTangent:
    """With at most half as many dimensions as neighbours, or the tangent is their noise."""
    n_neighbours = min(TANGENT_NEIGHBOURS, len(read.learning) // 4)
    found = intrinsic_dimensions(read.learning, seed=seed)["maximum_likelihood"].estimate
    dimension = int(np.clip(round(found), 1, n_neighbours // 2))
    return LocalTangent.fit(read.learning, dimension=dimension, n_neighbours=n_neighbours, seed=seed)


def growth_of(read: LayerActivations, manifolds: Mapping[str, Manifold]) -> dict[str, Float[ndarray, "k tokens"]]:
    """How much further out each multiplier takes each token."""
    return {
        name: np.array([manifold.distance(h) for h in read.steered]) - manifold.distance(read.base)
        for name, manifold in manifolds.items()
    }


def distance_table(
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
        shares[None],
        f"Of two multipliers of one sign, the larger takes a pair further from its nearest neighbours in {shares.mean():.0%} of "
        f"comparisons; at least {MOSTLY:.0%} counts as a rule.",
    )


def _monotone(evidence: Evidence, growth: Float[ndarray, "k pairs"], planted: ByDistance) -> Claim:
    """On each side of zero by itself: which side of a steer costs more is no question of distance."""
    m = evidence.multipliers
    both = {"m < 0": m < 0, "m > 0": m > 0}
    sides = {name: side for name, side in both.items() if side.sum() > 1}
    if not sides:
        because = "No side of zero has two multipliers to compare. Sweep more."
        return undecided(NAME, "monotone", evidence.key, SHARES, because)

    def shares(loss: Float[ndarray, "k pairs"]) -> Float[ndarray, "sides pairs"]:
        return np.array([_concordance(growth, loss, np.outer(side, side)) for side in sides.values()])

    def found(rng: np.random.Generator) -> Outcome:
        drawn = _least(shares(planted.drawn(rng)), N_PLANTED_RESAMPLES, int(rng.integers(2**31)))
        return judge(percentile_interval(drawn), A_RULE)

    measured = shares(planted.loss)
    told = " and ".join(f"{share:.0%} ({side})" for side, share in zip(sides, measured.mean(axis=1), strict=True))
    claim = _share_claim(
        evidence,
        "monotone",
        measured,
        f"Of two multipliers of one sign, the one that takes a pair further out leaves it less utility in {told} of comparisons; "
        f"at least {MOSTLY:.0%} on each side counts as a rule.",
    )
    # That what lies further out loses less has been seen; that it does not mostly lose more has not.
    if claim.outcome is Outcome.REFUTED and claim.interval.high < LUCK:
        return if_powerful(power(DECIDES, found, evidence.seed), claim, at_sight=Outcome.REFUTED)
    return _apart_from_size(evidence, growth, planted, claim)


def _apart_from_size(
    evidence: Evidence, growth: Float[ndarray, "k pairs"], planted: ByDistance, over_all: Claim
) -> Claim:
    """The same where distance and |m| disagree, with pairs drawn again; undecided where too few pairs have such comparisons."""
    m, n_pairs = evidence.multipliers, growth.shape[1]
    first, second = np.nonzero(np.triu(np.sign(m)[:, None] == np.sign(m), 1))
    further = growth[first] - growth[second]
    apart = further * (np.abs(m[first]) - np.abs(m[second]))[:, None] < 0
    n_telling = int(apart.any(axis=0).sum())
    because = (
        f"{over_all.because} The smaller one takes it further out in {apart.mean():.0%} of them, on {n_telling} of {n_pairs} "
        "pairs"
    )
    if n_telling < MIN_PAIRS:
        because += f"; {MIN_PAIRS} are needed to tell distance from |m|, so nothing is decided."
        return replace(over_all, outcome=Outcome.INCONCLUSIVE, because=because, p_value=float("nan"))

    def drawn(loss: Float[ndarray, "k pairs"], n_resamples: int, seed: int) -> Float[ndarray, " curves"]:
        lower = apart & (further * (loss[first] - loss[second]) > 0)
        counts = np.array([lower.sum(axis=0), apart.sum(axis=0)], dtype=np.float64)
        right, compared = resampled_with(counts, n_resamples, seed).T
        return np.divide(right, compared, out=np.full(len(right), np.nan), where=compared > 0)

    def found(rng: np.random.Generator) -> Outcome:
        resamples = drawn(planted.drawn(rng), N_PLANTED_RESAMPLES, int(rng.integers(2**31)))[1:]
        return judge(percentile_interval(resamples), A_RULE)

    share, *resamples = drawn(planted.loss, N_RESAMPLES, evidence.seed)
    interval = percentile_interval(np.array(resamples))
    outcome = judge(interval, A_RULE)
    claim = replace(
        over_all,
        estimate=float(share),
        interval=interval,
        control="|m|, by which none of these comparisons would come out so",
        outcome=outcome,
        p_value=p_value(np.array(resamples), A_RULE, outcome),
        because=f"{because}. There the one further out leaves less utility in {share:.0%}; "
        f"at least {MOSTLY:.0%} counts as a rule.",
    )
    at_sight = Outcome.REFUTED if interval.high < LUCK else None
    return if_powerful(power(DECIDES, found, evidence.seed), claim, at_sight=at_sight)


def _least(shares: Float[ndarray, "sides pairs"], n_resamples: int, seed: int) -> Float[ndarray, " resamples"]:
    """Means over pairs drawn again, on the side where they are least."""
    return resampled_means(shares, n_resamples, seed).min(axis=1)


def _share_claim(evidence: Evidence, part: str, shares: Float[ndarray, "sides pairs"], because: str) -> Claim:
    drawn = _least(shares, N_RESAMPLES, evidence.seed)
    interval = percentile_interval(drawn)
    outcome = judge(interval, A_RULE)
    return Claim(
        claim=NAME,
        part=part,
        key=evidence.key,
        estimate=float(shares.mean(axis=1).min()),
        unit=SHARES,
        interval=interval,
        control="one half, as by chance",
        outcome=outcome,
        because=because,
        p_value=p_value(drawn, A_RULE, outcome),
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


def _ranked(
    growth: Mapping[str, Float[ndarray, "k pairs"]], lengths: Int[ndarray, " pairs"]
) -> list[dict[str, Float[ndarray, "k _"]]]:
    """Of every distance, the ranks in each half of the pairs."""
    folds = alternate_folds(len(lengths))
    return [
        {name: _residual_ranks(values[:, folds == fold], lengths[folds == fold]) for name, values in growth.items()}
        for fold in (0, 1)
    ]


def _crossed(
    distances: Sequence[Mapping[str, Float[ndarray, "k _"]]],
    loss: Float[ndarray, "k pairs"],
    lengths: Int[ndarray, " pairs"],
) -> tuple[Float[ndarray, "k pairs"], Float[ndarray, "k pairs"], list[str]]:
    """Ranks of distance and of loss; each half of the pairs has the distance that explains most in the other half."""
    losses = _ranked({"": loss}, lengths)
    x, y, folds, chosen = np.zeros_like(loss), np.zeros_like(loss), alternate_folds(len(lengths)), []
    for fold, seen in ((0, 1), (1, 0)):
        scores = {
            name: _correlation(_products(ranks, losses[seen][""]).sum(axis=1))
            for name, ranks in distances[seen].items()
        }
        chosen.append(max(scores, key=lambda name, scores=scores: scores[name]))
        x[:, folds == fold], y[:, folds == fold] = distances[fold][chosen[-1]], losses[fold][""]
    return x, y, chosen


def _outcome(
    products: Float[ndarray, "3 pairs"], seed: int, n_resamples: int = N_RESAMPLES
) -> tuple[Outcome, Float[ndarray, " resamples"]]:
    """What a correlation comes to, and its resamples."""
    resamples = _correlation(resampled_means(products, n_resamples, seed))
    interval = percentile_interval(resamples)
    if interval.high < NOTICEABLE:
        return Outcome.REFUTED, resamples
    return (Outcome.SUPPORTED if interval.low > 0 else Outcome.INCONCLUSIVE), resamples


def _explains(
    evidence: Evidence,
    growth: Mapping[str, Float[ndarray, "k pairs"]],
    planted: ByDistance,
    lengths: Int[ndarray, " pairs"],
) -> Claim:
    """Undecided where the shift hardly differs between pairs, or where the mechanism would not be seen if it were there."""
    unit = "partial rank correlation"
    if (varies := _variation(evidence.delta)) < VARIES:
        because = (
            f"The shift varies between pairs by {varies:.1%} of its size; at least {VARIES:.0%} is needed. All pairs are taken "
            "equally far under one multiplier, so comparing them says nothing of distance."
        )
        return undecided(NAME, "explains", evidence.key, unit, because)
    distances = _ranked(growth, lengths)
    x, y, chosen = _crossed(distances, planted.loss, lengths)
    products = _products(x, y)
    estimate = float(_correlation(products.sum(axis=1)))
    outcome, resamples = _outcome(products, evidence.seed)
    luck = _permuted(x, y, np.random.default_rng(evidence.seed))
    p = float(np.mean(np.append(luck, estimate) >= estimate))
    if outcome is Outcome.REFUTED:
        # Of the opposite: that the correlation is noticeable.
        p = float(norm.sf((NOTICEABLE - estimate) / resamples.std()))
    best = " and ".join(dict.fromkeys(chosen))
    claim = Claim(
        claim=NAME,
        part="explains",
        key=evidence.key,
        estimate=estimate,
        unit=unit,
        interval=percentile_interval(resamples),
        control="distances permuted among pairs under the same multiplier",
        outcome=outcome,
        because=f"Among held-out pairs under one multiplier, the rank correlation between distance ({best}) and loss of utility, "
        f"given completion length, is {estimate:.2f}. With distances permuted among pairs, one correlation in twenty exceeds "
        f"{np.quantile(luck, 0.95):.2f}; below {NOTICEABLE} counts as none.",
        p_value=p,
    )

    def found(rng: np.random.Generator) -> Outcome:
        x, y, _ = _crossed(distances, planted.drawn(rng), lengths)
        return _outcome(_products(x, y), int(rng.integers(2**31)), N_PLANTED_RESAMPLES)[0]

    return if_powerful(power(DECIDES, found, evidence.seed), claim)


def _variation(delta: Float[ndarray, "pairs d"]) -> float:
    """How far pairs' shifts lie from their mean, as a share of their size (root mean squares)."""
    apart, size = (float(np.square(values).sum()) for values in (delta - delta.mean(axis=0), delta))
    return float(np.sqrt(apart / size)) if size > 0 else 0.0


def _permuted(
    x: Float[ndarray, "k pairs"], y: Float[ndarray, "k pairs"], rng: np.random.Generator
) -> Float[ndarray, " exchanges"]:
    """Correlations when whole rows of multipliers are exchanged among pairs."""
    n_pairs = x.shape[1]
    exchanged = rng.permuted(np.tile(np.arange(n_pairs), (N_EXCHANGES, 1)), axis=1)
    scale = np.sqrt(np.sum(x * x) * np.sum(y * y))
    return (x.T @ y)[exchanged, np.arange(n_pairs)].sum(axis=1) / (scale if scale > 0 else 1)
