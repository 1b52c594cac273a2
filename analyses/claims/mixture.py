"""A mixture by token: points that know which token stands where and how such tokens scatter, and nothing else.

Activations of one token of the vocabulary lie together, so clusters by token are nearer to each other than one Gaussian of their
covariance is, whatever their shape. These points have that and no more: each is drawn around the learning tokens of the
same id and, where enough of them are there, of the same stretch of positions. What lies nearer than they do has structure
within a token's own cloud.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

N_STRETCHES = 4
"""Of positions, by quartiles of the learning tokens."""
ENOUGH = 10
"""Learning tokens of one id and stretch, to be a cloud of their own: the mean of fewer is uncertain by a third of the scatter."""
LEAST = 3
"""Learning tokens of one id, below which nothing is known of how it scatters."""
PRIOR = 5
"""Learning tokens that the scatter common to all clouds counts for in the size of one."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """Which token of the vocabulary, and where in its text."""

    id: Int[ndarray, " n"]
    position: Int[ndarray, " n"]


def mixture(
    learning: Float[ndarray, "points d"], learnt: Tokens, tokens: Tokens, rng: np.random.Generator
) -> tuple[Float[ndarray, "known d"], Bool[ndarray, " tokens"]]:
    """A point for each token whose id was learnt from, and which tokens these are."""
    learning = learning.astype(np.float64)
    edges = np.quantile(learnt.position, np.arange(1, N_STRETCHES) / N_STRETCHES)
    clouds = {key: rows for key, rows in _rows(_keys(learnt, edges)).items() if len(rows) >= ENOUGH}
    wider = {key: rows for key, rows in _rows(learnt.id.tolist()).items() if len(rows) >= LEAST}
    own, asked = ([clouds.get(key, wider.get(key[0])) for key in _keys(some, edges)] for some in (learnt, tokens))
    known = np.array([rows is not None for rows in asked])
    if not known.any():
        return np.empty((0, learning.shape[1])), known
    common = np.array([_residual(learning, row, rows) for row, rows in enumerate(own) if rows is not None])
    noise = rng.normal(size=(known.sum(), len(common))) @ common / np.sqrt(len(common))
    around = [tuple(rows) for rows in asked if rows is not None]
    fitted = {rows: _Cloud.of(learning[list(rows)], common) for rows in set(around)}
    return np.array([fitted[rows].draw(one, rng) for rows, one in zip(around, noise, strict=True)]), known


def _keys(tokens: Tokens, edges: Float[ndarray, " edges"]) -> list[tuple[int, int]]:
    """Id and stretch of each."""
    return list(zip(tokens.id.tolist(), np.digitize(tokens.position, edges).tolist(), strict=True))


def _rows(keys: Sequence[Any]) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = {}
    for row, key in enumerate(keys):
        found.setdefault(key, []).append(row)
    return found


def _residual(learning: Float[ndarray, "points d"], row: int, cloud: list[int]) -> Float[ndarray, " d"]:
    """From the mean of its cloud, as wide as it would be from the true one."""
    n = len(cloud)
    return (learning[row] - learning[cloud].mean(axis=0)) * np.sqrt(n / (n - 1))


@dataclass(frozen=True, eq=False)
class _Cloud:
    """What is known of one token's cloud: its mean, and a covariance between its own and one that is common to all."""

    mean: Float[ndarray, " d"]
    centred: Float[ndarray, "n d"]
    """Whose squares add up to its own covariance."""
    own: float
    """The share of that in the covariance."""
    size: float
    """By which the common one's deviations are multiplied, so that it is as wide as this cloud."""

    @classmethod
    def of(cls, cloud: Float[ndarray, "n d"], common: Float[ndarray, "points d"]) -> "_Cloud":
        """The common covariance, as large as the cloud, is the target of Ledoit and Wolf's shrinkage (2004): the fewer the tokens
        and the less their shape differs from it, the more it counts."""
        n, tiny = len(cloud), np.finfo(float).tiny
        mean = cloud.mean(axis=0)
        centred = (cloud - mean) / np.sqrt(n - 1)
        width = np.mean(np.sum(common**2, axis=1))
        size = ((n - 1) * np.sum(centred**2) + PRIOR * width) / (n - 1 + PRIOR) / max(width, tiny)
        gram = centred @ centred.T
        # ‖S‖², ⟨S, T⟩ and ‖T‖², without a matrix as wide as the model.
        own, shared = np.sum(gram**2), size * np.sum((centred @ common.T) ** 2) / len(common)
        target = size**2 * _squared_norm(common) / len(common) ** 2
        error = max(np.sum(np.diag(gram) ** 2) - own / n, 0)
        return cls(mean, centred, 1 - min(1, error / max(own - 2 * shared + target, tiny)), np.sqrt(size))

    def draw(self, noise: Float[ndarray, " d"], rng: np.random.Generator) -> Float[ndarray, " d"]:
        """One more point: the mean is that of n, and uncertain by an nth of the variance."""
        n = len(self.centred)
        scatter = np.sqrt(self.own) * rng.normal(size=n) @ self.centred + np.sqrt(1 - self.own) * self.size * noise
        return self.mean + np.sqrt(1 + 1 / n) * scatter


def _squared_norm(points: Float[ndarray, "n d"]) -> float:
    """Of the sum of their squares, as a matrix, whichever of its two forms is smaller."""
    product = points.T @ points if points.shape[1] < len(points) else points @ points.T
    return float(np.sum(product**2))
