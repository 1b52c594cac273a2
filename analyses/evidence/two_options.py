"""Pairs of two answers to choose from: what a steer does for the concept, and what for an answer, whatever it stands for.

The concept's answer is "Yes" in some pairs and "No" in others. A steer that makes "Yes" likelier raises preference in the first
and lowers it in the second; what it does alike in both is of the concept. So the concept is the mean of both keys' mean
preferences, and the answer bias half of their difference.
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
"""Pairs of each key: of fewer, drawing them again says little of how far their mean may be off."""
ACCURACY, CONCEPT, BIAS, BIAS_GAINED = "accuracy", "concept gained", "answer bias", "answer bias gained"
"""What is told at each multiplier: a share, and nats."""
WRONG_WAY, BIAS_APART = "share steered the wrong way", "share steered the wrong way, answer bias apart"
"""And once for a steer."""


def told_apart(sweep: Sweep, keys: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """A row for each quantity and multiplier, with an interval of 95 % over pairs drawn again within their keys.

    Accuracy is the mean of both keys' shares of pairs that prefer the concept, as arXiv 2602.02343 has it of Psychopathy; the
    bias is towards the answer `answer`. Of more than two keys, the two most common count.
    """
    known = [key for key in keys if key]
    common = Counter(known).most_common(2)
    if len(common) < 2 or common[-1][1] < LEAST:
        found = ", ".join(f"{n} with {key}" for key, n in common) or "none"
        raise InputError(
            f"To separate concept from answer, {LEAST} pairs are needed with each of two keys. Of {len(keys)} pairs there are "
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
    """Whether a pair prefers the concept's answer: one, none, or half where it likes both alike."""
    return (sweep.preference > 0) + 0.5 * (sweep.preference == 0)


def _accuracy(sweep: Sweep, sides: list[ndarray]) -> Float[ndarray, "m 3"]:
    """The mean of both keys' shares at each multiplier, and its interval from Wilson's of each (Newcombe's square-and-add,
    Statistics in Medicine 17, 1998): pairs drawn again would call a model certain that gives one answer to all."""
    shares = np.array([prefers(sweep)[:, side].mean(axis=1) for side in sides])
    ends = np.array(
        [wilson_interval(share, np.full(len(share), len(side))) for share, side in zip(shares, sides, strict=True)]
    )
    mean, reach = shares.mean(axis=0), np.sqrt(np.sum((ends - shares[..., None]) ** 2, axis=0)) / 2
    return np.stack([mean, mean - reach[:, 0], mean + reach[:, 1]], axis=1)


def _wrong_ways(sweep: Sweep, sides: list[ndarray]) -> list[tuple[str, float, float, float, float]]:
    """How many pairs have a preference that falls in the useful range: as it is, and without the answer's own slope."""
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
    """The first is of all pairs."""
    interval = percentile_interval(draws[1:])
    return float(draws[0]), interval.low, interval.high


def sentence(table: pd.DataFrame, steer: str, multiplier: float) -> str:
    """What a steer does at a multiplier; its rows of a table."""
    first = table.iloc[0]

    def at(quantity: str, m: float) -> str:
        rows = table[table.quantity == quantity]
        row = rows.iloc[(rows.multiplier - m).abs().argmin()]
        return f"{row.estimate:.2f} [{row.low:.2f}, {row.high:.2f}]"

    told = (
        f"{first.n_answer} pairs have the key {first.answer} and {first.n_other} {first.other_answer}: at m = {multiplier:.3g}, "
        f"{steer} takes accuracy, the mean of both keys, from {at(ACCURACY, 0.0)} to {at(ACCURACY, multiplier)}, gains "
        f"{at(CONCEPT, multiplier)} nats for the concept and {at(BIAS_GAINED, multiplier)} nats for the answer {first.answer}, "
        "whatever it stands for"
    )
    for share, low, high in table.loc[table.quantity == BIAS_APART, ["estimate", "low", "high"]].to_numpy():
        told += f". Without the latter, {share:.0%} [{low:.0%}, {high:.0%}] of them are steered the wrong way"
    return f"{told}."
