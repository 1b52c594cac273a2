"""What activations predict about a steer before it is swept, and what the steer then does to each pair.

Before the sweep: whether pairs agree on a direction at the site (the cosine of each pair's difference of activations with the
DiffMean of all others), and whether the learning pairs' DiffMean separates the texts of other pairs. After it: the slope of each
pair's preference in the useful range. A steer that works on average turns some pairs the wrong way (arXiv 2407.12404). A study
reports their share, and whether a pair's agreement predicted its slope.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy.stats import rankdata

from mechsteer.errors import InputError
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import USEFUL, is_useful
from mechsteer.models.sites import Site, write_sites
from mechsteer.pairs.polarity import Pairs
from mechsteer.statistics.intervals import N_RESAMPLES, percentile_interval, wilson_interval

if TYPE_CHECKING:
    from mechsteer.models.model import Model

MIN_MULTIPLIERS = 3
"""Fewest multipliers in the useful range for a slope: two points fit any line."""
AGREEMENT, AUROC, D_PRIME = "agreement", "AUROC", "d'"
WRONG_WAY, RANKS = "share steered the wrong way", "rank correlation of agreement and slope"
"""The quantities reported."""


def forecast(
    model: "Model", learning: Pairs, testing: Pairs, site: Site, *, prompt_format: str = "raw"
) -> pd.DataFrame:
    """A row for each test pair: its `cosine` with the DiffMean of the other test pairs, and the projections of both its texts on
    the learning pairs' DiffMean direction, averaged over completion tokens."""
    sums, counts = activation_sums(model, testing, site, prompt_format)
    taught = activation_sums(model, learning, site, prompt_format)
    means = sums / counts[..., None]
    direction = np.diff(taught[0].sum(axis=1) / taught[1].sum(axis=1)[:, None], axis=0)[0]
    if not (size := np.linalg.norm(direction)) > 0:
        raise InputError(
            f"The learning pairs' activations at {write_sites([site])} do not differ. Choose another site."
        )
    negative, positive = means @ (direction / size)
    pairs = [pair.id or str(index) for index, pair in enumerate(testing)]
    return pd.DataFrame(
        {
            "pair": pairs,
            "cosine": agreement(sums, counts, [pair.key for pair in testing]),
            "projection_positive": positive,
            "projection_negative": negative,
        }
    )


def activation_sums(
    model: "Model", pairs: Pairs, site: Site, prompt_format: str
) -> tuple[Float[ndarray, "2 pairs d"], Int[ndarray, "2 pairs"]]:
    """Sums over the completion tokens of each pair's negative and positive text, and the number of these tokens."""
    from mechsteer.engine.activations import read_activations
    from mechsteer.models.prompts import encode_pairs

    sums, counts = np.zeros((2, len(pairs), site.widths(model)[1])), np.zeros((2, len(pairs)), np.int64)
    for read in read_activations(model, encode_pairs(model, pairs, prompt_format), [site]):
        values = read.at[site]
        model.check_finite(values, f"activations at {site}")
        place = read.is_positive.int().numpy(), read.pair.numpy()
        np.add.at(sums, place, values.double().cpu().numpy())
        np.add.at(counts, place, 1)
    return sums, counts


def agreement(
    sums: Float[ndarray, "2 pairs d"], counts: Int[ndarray, "2 pairs"], keys: Sequence[str] = ()
) -> Float[ndarray, " pairs"]:
    """The cosine of each pair's difference of means with the DiffMean of all other pairs; NaN for a single pair.

    Each answer key has equal weight, whichever pair is left out. Otherwise, with balanced answers, leaving a pair out would tilt
    the rest towards the other answer, and all pairs would seem to disagree.
    """
    own = np.diff(sums / counts[..., None], axis=0)[0]
    of_key = np.array(list(keys) or [""] * len(own))
    parts = []
    for key in np.unique(of_key):
        has = of_key == key
        total, n = sums[:, has].sum(axis=1, keepdims=True), counts[:, has].sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            parts.append((total - has[:, None] * sums) / (n - has * counts)[..., None])
    with np.errstate(divide="ignore", invalid="ignore"):
        other = np.diff(np.mean(parts, axis=0), axis=0)[0]
        return np.sum(own * other, axis=1) / (np.linalg.norm(own, axis=1) * np.linalg.norm(other, axis=1))


def steered(before: pd.DataFrame, sweep: Sweep) -> pd.DataFrame:
    """The same rows with each pair's slope of preference."""
    if before.pair.tolist() != list(sweep.pairs):
        raise InputError("The sweep measured other pairs than the forecast. Forecast the pairs that it measured.")
    return before.assign(slope=slopes(sweep), n_multipliers=int(is_useful(sweep).sum()))


def slopes(sweep: Sweep) -> Float[ndarray, " pairs"]:
    """Each pair's slope of preference in the useful range (nats per unit of the multiplier), by least squares."""
    useful = is_useful(sweep)
    if (n := useful.sum()) < MIN_MULTIPLIERS:
        raise InputError(
            f"{n} multipliers lose at most {USEFUL:g} nats, and a slope needs {MIN_MULTIPLIERS}. Sweep more, nearer to zero."
        )
    m = sweep.multipliers[useful] - sweep.multipliers[useful].mean()
    return m @ sweep.preference[useful] / np.sum(m**2)


def summarise(rows: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """A row for each quantity, with its interval over pairs. The directions that pairs are compared with are taken as fixed."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(rows), size=(N_RESAMPLES, len(rows)))
    draws = np.concatenate([np.arange(len(rows))[None], drawn])
    cosine, slope = rows.cosine.to_numpy(), rows.slope.to_numpy()
    positive, negative = (rows[f"projection_{side}"].to_numpy()[draws] for side in ("positive", "negative"))
    found = [
        (AGREEMENT, *_with_interval(cosine[draws].mean(axis=1))),
        (AUROC, *_with_interval(auroc(positive, negative))),
        (D_PRIME, *_with_interval(d_prime(positive, negative))),
        (WRONG_WAY, *share_of(slope < 0)),
        (RANKS, *_with_interval(spearman(cosine[draws], slope[draws]))),
    ]
    return pd.DataFrame(found, columns=["quantity", "estimate", "low", "high"]).assign(n_pairs=len(rows))


def auroc(positive: Float[ndarray, "draws n"], negative: Float[ndarray, "draws n"]) -> Float[ndarray, " draws"]:
    """The probability that a positive text projects higher than a negative one; a tie counts half."""
    n = positive.shape[1]
    ranks = rankdata(np.concatenate([positive, negative], axis=1), axis=1)[:, :n].sum(axis=1)
    return (ranks - n * (n + 1) / 2) / n**2


def d_prime(positive: Float[ndarray, "draws n"], negative: Float[ndarray, "draws n"]) -> Float[ndarray, " draws"]:
    """The distance between the means, in within-side standard deviations."""
    within = np.sqrt((positive.var(axis=1) + negative.var(axis=1)) / 2)
    return _ratio(positive.mean(axis=1) - negative.mean(axis=1), within)


def spearman(one: Float[ndarray, "draws n"], other: Float[ndarray, "draws n"]) -> Float[ndarray, " draws"]:
    """Rank correlation; NaN where one side does not vary."""
    x, y = (rankdata(values, axis=1) - (values.shape[1] + 1) / 2 for values in (one, other))
    return _ratio(np.sum(x * y, axis=1), np.sqrt(np.sum(x**2, axis=1) * np.sum(y**2, axis=1)))


def _ratio(over: Float[ndarray, " n"], under: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
    return np.divide(over, under, out=np.full(len(over), np.nan), where=under > 0)


def share_of(pairs: Bool[ndarray, " pairs"]) -> tuple[float, float, float]:
    """The share of true entries, with Wilson's interval, which keeps some width even at a share of zero."""
    share = float(np.mean(pairs))
    low, high = wilson_interval(np.array([share]), np.array([len(pairs)]))[0]
    return share, float(low), float(high)


def _with_interval(values: Float[ndarray, " draws"]) -> tuple[float, float, float]:
    """The first draw is the estimate, the others are resamples; undefined resamples are dropped."""
    drawn = values[1:]
    interval = percentile_interval(drawn[np.isfinite(drawn)])
    return float(values[0]), interval.low, interval.high


def sentences(told: pd.DataFrame, steer: str, site: str) -> list[str]:
    """What was predicted about a steer, and what it does to single pairs."""
    found, n = told.set_index("quantity"), int(told.n_pairs.iloc[0])

    def said(name: str) -> str:
        row = found.loc[name]
        return f"{row.estimate:.2f} [{row.low:.2f}, {row.high:.2f}]"

    wrong = found.loc[WRONG_WAY]
    some = f"{wrong.estimate:.0%} [{wrong.low:.0%}, {wrong.high:.0%}] of {n} pairs"
    share = some if wrong.estimate > 0 else f"none of {n} pairs ({wrong.high:.1%} at most)"
    words = f"{steer} steers {share} the wrong way within its useful range by log-odds"
    if np.isfinite(found.estimate[RANKS]):
        words += f"; the rank correlation of a pair's agreement and its slope is {said(RANKS)}"
    return [
        f"Before any sweep, a pair's agreement with the others on a direction at {site} is {said(AGREEMENT)} (mean cosine with "
        f"their DiffMean), and DiffMean separates the texts of unseen pairs with AUROC {said(AUROC)}.",
        f"{words}.",
    ]
