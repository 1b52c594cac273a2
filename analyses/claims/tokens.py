"""Tokens and their pairs: the tokens of one pair are no independent witnesses, so pairs are what is counted."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from mechsteer.statistics.judging import Claim, Outcome

from ..evidence.evidence import Evidence
from .result import MIN_PAIRS, Result, too_few, undecided

MIN_POINTS = 50
"""Fewer distinct tokens of learning pairs show no manifold, and neighbours are hard to find among them."""


def too_sparse(evidence: Evidence, claim: str, parts: Sequence[str]) -> Result | None:
    """That these parts of a claim are undecided, where the learning tokens are too few for a manifold."""
    because = why_sparse(evidence.layers[evidence.site_layer].learning)
    return Result(tuple(undecided(claim, part, evidence.key, "", because) for part in parts)) if because else None


def why_sparse(learning: Float[ndarray, "points d"]) -> str:
    """Why these learning tokens show no manifold; "" where they do."""
    n_points = len(np.unique(learning, axis=0))
    if n_points >= MIN_POINTS:
        return ""
    return f"{n_points} distinct tokens of learning pairs were read; {MIN_POINTS} are needed. Learn from more pairs."


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
    return replace(claim, outcome=Outcome.INCONCLUSIVE, because=too_few(n_pairs), p_value=float("nan"))
