"""Tokens and their pairs: the tokens of one pair are no independent witnesses, so pairs are what is counted."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from mechsteer.claims import Claim, Outcome

from .result import MIN_PAIRS, too_few


def by_pair(
    values: Float[ndarray, "*rows tokens"], token_pair: Int[ndarray, " tokens"]
) -> Float[ndarray, "*rows pairs"]:
    """Means over the tokens of each pair that has any, in the order of `np.unique(token_pair)`."""
    _, pair, counts = np.unique(token_pair, return_inverse=True, return_counts=True)
    sums = np.array([np.bincount(pair, row) for row in values.reshape(-1, values.shape[-1])])
    return (sums / counts).reshape(*values.shape[:-1], len(counts))


def if_enough(n_pairs: int, claim: Claim) -> Claim:
    """The claim, undecided if it rests on fewer pairs than decide anything."""
    if n_pairs >= MIN_PAIRS:
        return claim
    return replace(claim, outcome=Outcome.INCONCLUSIVE, because=too_few(n_pairs))
