"""A mixture by token: a null for the manifold that has token identity, position and scatter, and no other structure.

Activations of one vocabulary token cluster, so real activations lie nearer to each other than draws from one Gaussian with their
covariance, even without a manifold. The mixture reproduces that clustering alone: each point is drawn around the learning tokens
of the same id and, where there are enough, of the same stretch of positions. Activations that lie nearer than the mixture does
have structure within a token's own cloud.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

N_STRETCHES = 4
"""Stretches of positions, by quartiles of the learning tokens."""
ENOUGH = 10
"""Fewest learning tokens of one id and stretch for a cloud of their own: of fewer, the mean errs by a third of the scatter."""
LEAST = 3
"""Fewest learning tokens of one id from which its scatter is estimated."""
PRIOR = 5
"""Weight of the scatter common to all clouds in the size of one cloud, as a number of learning tokens."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """The vocabulary id of each token and its position in its text."""

    id: Int[ndarray, " n"]
    position: Int[ndarray, " n"]


def mixture(
    learning: Float[ndarray, "points d"], learnt: Tokens, tokens: Tokens, rng: np.random.Generator
) -> tuple[Float[ndarray, "known d"], Bool[ndarray, " tokens"]]:
    """A point for each token whose id is among the learning tokens, and a mask of these tokens."""
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
    """Id and stretch of each token."""
    return list(zip(tokens.id.tolist(), np.digitize(tokens.position, edges).tolist(), strict=True))


def _rows(keys: Sequence[Any]) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = {}
    for row, key in enumerate(keys):
        found.setdefault(key, []).append(row)
    return found


def _residual(learning: Float[ndarray, "points d"], row: int, cloud: list[int]) -> Float[ndarray, " d"]:
    """The deviation from the mean of its cloud, scaled up to what it would be from the true mean."""
    n = len(cloud)
    return (learning[row] - learning[cloud].mean(axis=0)) * np.sqrt(n / (n - 1))


@dataclass(frozen=True, eq=False)
class _Cloud:
    """One token's cloud: its mean, and a covariance shrunk from its own towards the one common to all clouds."""

    mean: Float[ndarray, " d"]
    centred: Float[ndarray, "n d"]
    """Scaled deviations, whose outer products add up to the cloud's own covariance."""
    own: float
    """Weight of the own covariance."""
    size: float
    """Factor of the common deviations that makes them as wide as this cloud."""

    @classmethod
    def of(cls, cloud: Float[ndarray, "n d"], common: Float[ndarray, "points d"]) -> "_Cloud":
        """Ledoit and Wolf's shrinkage (2004) towards the common covariance, scaled to the cloud. The target weighs more the fewer
        the tokens are and the less their shape differs from it."""
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
        """One more point. The mean of n tokens is itself uncertain, which adds an nth of the variance."""
        n = len(self.centred)
        scatter = np.sqrt(self.own) * rng.normal(size=n) @ self.centred + np.sqrt(1 - self.own) * self.size * noise
        return self.mean + np.sqrt(1 + 1 / n) * scatter


def _squared_norm(points: Float[ndarray, "n d"]) -> float:
    """Squared Frobenius norm of the points' second moments, by whichever Gram matrix is smaller."""
    product = points.T @ points if points.shape[1] < len(points) else points @ points.T
    return float(np.sum(product**2))
