"""Mean and covariance of a stream of activations, exact and in one pass."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..brief import brief
from ..errors import InputError
from .stream import Points, distinct_blocks


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance (the sum over points divided by their number) of the distinct points."""

    mean: Float[ndarray, " d"]
    covariance: Float[ndarray, "d d"]
    n_points: int
    n_duplicates: int

    __repr__ = brief

    @classmethod
    def of(cls, activations: Points) -> "Moments":
        """Accumulate in float64, each block about its own mean; in memory are a block and three d × d matrices."""
        n_points = n_duplicates = 0
        mean, scatter = np.zeros(()), np.zeros(())
        for block in distinct_blocks(activations):
            n_duplicates += block.n_duplicates
            n_new = len(block.points)
            if not n_new:
                continue
            points = block.points.astype(np.float64)
            new_mean = points.mean(axis=0)
            points -= new_mean
            shift = new_mean - mean
            n_points += n_new
            mean = mean + shift * (n_new / n_points)
            scatter = points.T @ points + scatter
            scatter += np.outer(shift, shift * (n_new * (1 - n_new / n_points)))
        if n_points < 2:
            raise InputError(f"{n_points} distinct activations came. Pass at least two; thousands describe a manifold.")
        scatter /= n_points
        return cls(mean, scatter, n_points, n_duplicates)
