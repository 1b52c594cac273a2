"""Families of directions at one place: what can be added there besides a learned steer."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from mechsteer.manifolds import Subspace

Vectors = Float[ndarray, "n d"]

N_DRAWN = 7
"""Families with as many directions as are asked for; the steer and other concepts come in addition."""
LEADING = 0.9
"""Share of the variance in the leading components, onto which the steer is projected."""
LIKE = 2
"""Least distance, in tokens, of like contexts from the completion's beginning: by then a pair's texts have parted."""


def families(
    h: Float[ndarray, "tokens d"],
    pair: Int[ndarray, " tokens"],
    is_positive: Bool[ndarray, " tokens"],
    others: Sequence[Float[ndarray, " d"]],
    n_of_a_family: int,
    rng: np.random.Generator,
) -> Iterator[tuple[str, Vectors]]:
    """Each family's name and its directions, of length one and with either sign.

    Args:
        h: activations at completion tokens of the learning pairs, in order; `pair` and `is_positive` say which text each is from.
        others: DiffMean of other concepts.
    """
    principal = Subspace.fit(h, n_components=h.shape[1])
    axes, d = principal.components, h.shape[1]
    n = min(n_of_a_family, d // 4)
    steer = h[is_positive].mean(axis=0, dtype=np.float64) - h[~is_positive].mean(axis=0, dtype=np.float64)
    shares = np.cumsum(principal.spectrum) / principal.spectrum.sum()
    leading = axes[: 1 + int(np.searchsorted(shares, LEADING))]
    on = steer @ leading.T @ leading
    drawn: dict[str, Vectors] = {
        "leading components": axes[:n],
        "least variance": axes[-n:],
        "isotropic": rng.standard_normal((n, d)),
        "covariance": rng.standard_normal((n, d)) * np.sqrt(principal.spectrum) @ axes,
        "real tokens": _differences(h, *_any_two(len(h), n, rng)),
        "like contexts": _differences(h, *_in_like_contexts(pair, is_positive, n, rng)),
        "within the leading components": rng.standard_normal((n, len(leading))) @ leading,
        "steer": np.stack([steer, on, steer - on]),
    }
    if len(others):
        drawn["other concepts"] = np.stack(others)
    for name, vectors in drawn.items():
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        kept = vectors[lengths[:, 0] > 0] / lengths[lengths[:, 0] > 0]
        signs = np.ones(len(kept)) if name in ("steer", "other concepts") else rng.choice([-1.0, 1.0], len(kept))
        both = np.concatenate([kept, -kept]) if name in ("steer", "other concepts") else kept * signs[:, None]
        yield name, both


def _differences(h: ndarray, first: Int[ndarray, " n"], second: Int[ndarray, " n"]) -> Vectors:
    return h[first].astype(np.float64) - h[second]


def _any_two(n_tokens: int, n: int, rng: np.random.Generator) -> tuple[Int[ndarray, " n"], Int[ndarray, " n"]]:
    first = rng.integers(n_tokens, size=n)
    return first, (first + rng.integers(1, n_tokens, size=n)) % n_tokens


def _in_like_contexts(
    pair: Int[ndarray, " tokens"], is_positive: Bool[ndarray, " tokens"], n: int, rng: np.random.Generator
) -> tuple[Int[ndarray, " n"], Int[ndarray, " n"]]:
    """Tokens from the two texts of one pair, equally far from the completion's beginning, after the texts have parted."""
    found = []
    for chosen in rng.permutation(np.unique(pair)):
        first, second = (np.flatnonzero((pair == chosen) & (is_positive == side)) for side in (True, False))
        shared = min(len(first), len(second))
        if shared > LIKE:
            place = int(rng.integers(LIKE, shared))
            found.append((first[place], second[place]))
        if len(found) == n:
            break
    first, second = np.array(found, dtype=int).reshape(-1, 2).T
    return first, second
