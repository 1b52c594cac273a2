"""A map for looking at: activations in the plane (UMAP), into which steered ones are placed afterwards."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .base import from_centre
from .files import load_value, save_value
from .sample import Sample, nearest_points
from .stream import Points


@dataclass(frozen=True, eq=False)
class Map:
    """A sample of the points (less `centre`), and where each lies in the plane.

    A map shows which activations a steered one is most like, never how far away it is: what lies off the manifold is
    placed among its nearest points too. Distances are a `Manifold`'s.
    """

    points: Float[ndarray, "kept d"]
    centre: Float[ndarray, " d"]
    plane: Float[ndarray, "kept 2"]
    n_neighbours: int
    n_points: int
    n_duplicates: int
    seed: int

    @classmethod
    def fit(
        cls, activations: Points, *, n_neighbours: int = 15, min_dist: float = 0.1, n_kept: int = 5_000, seed: int = 0
    ) -> "Map":
        """Draw the map of `n_kept` distinct points; the same seed draws the same map."""
        from umap import UMAP  # seconds to import: numba compiles

        sample = Sample.of(activations, n_kept, seed)
        # UMAP counts a point as its own first neighbour. Given exact neighbours, it searches for no approximate ones.
        distances, indices = nearest_points(sample.points, sample.points, n_neighbours)
        exact = (indices, distances.astype(np.float32))
        umap = UMAP(n_neighbors=n_neighbours, min_dist=min_dist, precomputed_knn=exact, random_state=seed, n_jobs=1)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "precomputed_knn", UserWarning)  # no `transform`: `place` needs none
            plane = np.asarray(umap.fit_transform(sample.points), np.float64)
        return cls(plane=plane, n_neighbours=n_neighbours, **vars(sample))

    def place(self, h: Float[ndarray, "n d"]) -> Float[ndarray, "n 2"]:
        """Where new activations lie: the mean of their nearest points' places, by UMAP's weights.

        This is where UMAP's own `transform` starts from. It then moves all new points together at random, so a point's
        place would depend on its companions, and it needs compiled state that only pickle can save.
        """
        from umap.umap_ import smooth_knn_dist

        distances, indices = nearest_points(
            self.points, from_centre(h, self.centre, self.points.dtype), self.n_neighbours
        )
        distances = distances.astype(np.float32)
        scales, _ = smooth_knn_dist(distances, float(self.n_neighbours), local_connectivity=0.0)
        weights = np.exp(-distances / scales[:, None])
        return np.einsum("nk,nkp->np", weights / weights.sum(axis=1, keepdims=True), self.plane[indices])

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file."""
        return save_value(self, path)

    @classmethod
    def load(cls, path: str | Path) -> "Map":
        """Read a map; activations are placed in it as before it was saved."""
        return load_value(path, [cls])
