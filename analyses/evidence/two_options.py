"""Two-option pairs: a steer's effect on the concept, separated from its bias towards one answer.

The concept's answer is "Yes" in some pairs and "No" in others. A steer that makes "Yes" likelier raises preference in the first
and lowers it in the second. An effect that both share belongs to the concept. So the concept's effect is the mean of the two
keys' mean preferences, and the answer bias is half their difference.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.errors import InputError
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.intervals import N_RESAMPLES, percentile_interval, resampled_with, wilson_interval

from .forecast import share_of, slopes

LEAST = 4
"""Fewest pairs of each key: resampling fewer says little about the error of their mean."""
ACCURACY, CONCEPT, BIAS, BIAS_GAINED = "accuracy", "concept gained", "answer bias", "answer bias gained"
"""Quantities at each multiplier: accuracy is a share, the others are in nats."""
WRONG_WAY, BIAS_APART = "share steered the wrong way", "share steered the wrong way, answer bias apart"
"""Quantities with one value per steer."""


def told_apart(sweep: Sweep, keys: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """A row for each quantity and multiplier, with a 95 % interval over pairs resampled within their keys.

    Accuracy is the mean over the two keys of the share of pairs that prefer the concept, as arXiv 2602.02343 reports it for
    Psychopathy. The bias is towards the answer `answer`. If there are more than two keys, the two most common count.
    """
    known = [key for key in keys if key]
    common = Counter(known).most_common(2)
    if len(common) < 2 or common[-1][1] < LEAST:
        found = ", ".join(f"{n} with {key}" for key, n in common) or "none"
        raise InputError(
            f"Separating concept from answer takes {LEAST} pairs with each of two keys. Of {len(keys)} pairs there are "
            f"{found}. Give pairs in which either answer stands for the concept."
        )
    answer, other = sorted((key for key, _ in common), reverse=True)
    sides = [np.flatnonzero(np.array(keys) == key) for key in (answer, other)]
    preference, its_preference = (
        resampled_with(sweep.preference[:, side], N_RESAMPLES, seed + at) for at, side in enumerate(sides)
    )
    concept, bias = (preference + its_preference) / 2, (preference - its_preference) / 2
    quantities = {
        CONCEPT: concept - concept[:, [sweep.zero]],
        BIAS: bias,
        BIAS_GAINED: bias - bias[:, [sweep.zero]],
    }
    rows = [
        (quantity, m, *_with_interval(draws[:, at]))
        for quantity, draws in quantities.items()
        for at, m in enumerate(sweep.multipliers)
    ]
    rows += [(ACCURACY, m, *both) for m, both in zip(sweep.multipliers, _accuracy(sweep, sides), strict=True)]
    rows += _wrong_ways(sweep, sides)
    table = pd.DataFrame(rows, columns=["quantity", "multiplier", "estimate", "low", "high"])
    return table.assign(answer=answer, other_answer=other, n_answer=len(sides[0]), n_other=len(sides[1]))


def prefers(sweep: Sweep) -> Float[ndarray, "m pairs"]:
    """Whether a pair prefers the concept's answer: one, zero, or a half where both answers are equally likely."""
    return (sweep.preference > 0) + 0.5 * (sweep.preference == 0)


def _accuracy(sweep: Sweep, sides: list[ndarray]) -> Float[ndarray, "m 3"]:
    """The mean of both keys' shares at each multiplier. Its interval combines Wilson's intervals of both (Newcombe's
    square-and-add, Statistics in Medicine 17, 1998). A bootstrap would have no width for a model that always gives one answer."""
    shares = np.array([prefers(sweep)[:, side].mean(axis=1) for side in sides])
    ends = np.array(
        [wilson_interval(share, np.full(len(share), len(side))) for share, side in zip(shares, sides, strict=True)]
    )
    mean, reach = shares.mean(axis=0), np.sqrt(np.sum((ends - shares[..., None]) ** 2, axis=0)) / 2
    return np.stack([mean, mean - reach[:, 0], mean + reach[:, 1]], axis=1)


def _wrong_ways(sweep: Sweep, sides: list[ndarray]) -> list[tuple[str, float, float, float, float]]:
    """The share of pairs whose preference falls with m in the useful range: as measured, and without the answer bias's slope."""
    try:
        slope = slopes(sweep)
    except InputError:
        return []
    answer, other = (slope[side] for side in sides)
    bias = (answer.mean() - other.mean()) / 2
    return [
        (WRONG_WAY, np.nan, *share_of(np.concatenate([answer, other]) < 0)),
        (BIAS_APART, np.nan, *share_of(np.concatenate([answer - bias, other + bias]) < 0)),
    ]


def _with_interval(draws: Float[ndarray, " draws"]) -> tuple[float, float, float]:
    """The first draw is over all pairs."""
    interval = percentile_interval(draws[1:])
    return float(draws[0]), interval.low, interval.high


def sentence(table: pd.DataFrame, steer: str, multiplier: float) -> str:
    """What a steer does at a multiplier, from its rows of a table."""
    first = table.iloc[0]

    def at(quantity: str, m: float) -> str:
        rows = table[table.quantity == quantity]
        row = rows.iloc[(rows.multiplier - m).abs().argmin()]
        return f"{row.estimate:.2f} [{row.low:.2f}, {row.high:.2f}]"

    told = (
        f"{first.n_answer} pairs have the key {first.answer} and {first.n_other} the key {first.other_answer}. "
        f"At m = {multiplier:.3g}, {steer} takes accuracy, the mean of both keys, from {at(ACCURACY, 0.0)} to "
        f"{at(ACCURACY, multiplier)}. "
        f"It gains {at(CONCEPT, multiplier)} nats for the concept, and {at(BIAS_GAINED, multiplier)} nats for the answer "
        f"{first.answer} whichever side that stands for"
    )
    for share, low, high in table.loc[table.quantity == BIAS_APART, ["estimate", "low", "high"]].to_numpy():
        told += f". With this answer bias removed, {share:.0%} [{low:.0%}, {high:.0%}] of the pairs are steered the wrong way"
    return f"{told}."
