"""Some of a stream's distinct points, kept in memory."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from ..brief import brief
from ..errors import InputError
from .nearest import nearest_points
from .stream import Points, distinct_blocks

FEW = 5
"""Neighbours of each point that are looked up at once, for whoever asks for so many or fewer."""
EMPTY = np.iinfo(np.uint64).max


@dataclass(frozen=True, eq=False)
class Sample:
    """`n_kept` points, or all if there are fewer, drawn uniformly from `n_points` distinct ones, less their centre.

    They are kept in float32 (in float64 if they came in it), in which an offset of all points would cost their digits.
    """

    points: Float[ndarray, "kept d"]
    centre: Float[ndarray, " d"]
    n_points: int
    n_duplicates: int
    seed: int

    __repr__ = brief

    @classmethod
    def of(cls, activations: Points, n_kept: int, seed: int = 0) -> "Sample":
        """Keep the points with the smallest keys: the same ones in whatever order and batches they come."""
        n_points = n_duplicates = 0
        keys = np.full(n_kept, EMPTY)
        kept = None
        for block in distinct_blocks(activations, seed):
            n_points += len(block.points)
            n_duplicates += block.n_duplicates
            if kept is None:
                kept = np.empty((n_kept, block.points.shape[1]), np.promote_types(block.points.dtype, np.float32))
            smallest = np.argsort(np.concatenate([keys, block.keys]), kind="stable")[:n_kept]
            arrived = smallest[smallest >= n_kept] - n_kept
            left = np.setdiff1d(np.arange(n_kept), smallest)
            keys[left], kept[left] = block.keys[arrived], block.points[arrived]
        order = np.argsort(keys)[: min(n_kept, n_points)]
        if kept is None or len(order) < 2:
            raise InputError(f"{len(order)} distinct activations were kept. Pass and keep at least two.")
        kept = kept[order]
        centre = kept.mean(axis=0, dtype=np.float64)
        np.subtract(kept, centre, out=kept, dtype=np.float64, casting="same_kind")
        return cls(kept, centre, n_points, n_duplicates, seed)

    def nearest(self, k: int) -> tuple[Float[ndarray, "kept k"], Int[ndarray, "kept k"]]:
        """Distances and indices of each point's k nearest others, the nearest first."""
        distances, indices = self._few if k <= min(FEW, len(self.points) - 1) else nearest_points(self.points, None, k)
        return distances[:, :k], indices[:, :k]

    @cached_property
    def _few(self) -> tuple[Float[ndarray, "kept k"], Int[ndarray, "kept k"]]:
        return nearest_points(self.points, None, min(FEW, len(self.points) - 1))
