"""A map for looking at: activations in the plane (UMAP), into which steered ones are placed afterwards."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.sparse import csr_matrix

from ..brief import brief
from ..errors import InputError
from .base import from_centre
from .nearest import nearest_points
from .sample import Sample
from .saving import load_value, save_value
from .stream import Points

MIN_SCALE = 1e-3
"""Smallest σ, as a share of the mean distance: where many neighbours are equally near, none is small enough."""


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

    __repr__ = brief

    @classmethod
    def fit(
        cls, activations: Points, *, n_neighbours: int = 15, min_dist: float = 0.1, n_kept: int = 5_000, seed: int = 0
    ) -> "Map":
        """Draw the map of `n_kept` distinct points; the same seed draws the same map."""
        # Seconds to import. Of UMAP's own graph, numba would compile each part anew, for longer than the map takes.
        from umap.umap_ import find_ab_params, simplicial_set_embedding

        sample = Sample.of(activations, n_kept, seed)
        if n_neighbours < 2:
            raise InputError(
                f"A map from {n_neighbours} neighbours was asked for. Ask for at least two, for 15 at best."
            )
        with warnings.catch_warnings():
            # What is said of points in separate clusters; UMAP places these side by side.
            warnings.filterwarnings("ignore", "Graph is not fully connected", UserWarning)
            plane, _ = simplicial_set_embedding(
                data=sample.points,
                graph=neighbour_graph(sample.points, n_neighbours),
                n_components=2,
                initial_alpha=1.0,
                **dict(zip("ab", find_ab_params(1.0, min_dist), strict=True)),
                gamma=1.0,
                negative_sample_rate=5,
                n_epochs=None,
                init="spectral",
                random_state=np.random.RandomState(seed),
                metric="euclidean",
                metric_kwds={},
                densmap=False,
                densmap_kwds={},
                output_dens=False,
            )
        return cls(plane=np.asarray(plane, np.float64), n_neighbours=n_neighbours, **vars(sample))

    def place(self, h: Float[ndarray, "n d"]) -> Float[ndarray, "n 2"]:
        """Where new activations lie: the mean of their nearest points' places, by UMAP's weights.

        This is where UMAP's own `transform` starts from. It then moves all new points together at random, so a point's
        place would depend on its companions, and it needs compiled state that only pickle can save.
        """
        offset = from_centre(h, self.centre, self.points.dtype)
        distances, indices = nearest_points(self.points, offset, self.n_neighbours)
        weights = np.exp(-distances / _scales(distances[:, 1:], 0.0))
        return np.einsum("nk,nkp->np", weights / weights.sum(axis=1, keepdims=True), self.plane[indices])

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file."""
        return save_value(self, path)

    @classmethod
    def load(cls, path: str | Path) -> "Map":
        """Read a map; activations are placed in it as before it was saved."""
        return load_value(path, {cls.__name__: lambda: cls})


def neighbour_graph(points: Float[ndarray, "kept d"], n_neighbours: int) -> csr_matrix:
    """UMAP's graph: how surely two points are neighbours, from either one's view (McInnes et al. 2018, algorithms 2-3).

    A point is its own first neighbour; the first other one is a neighbour for sure.
    """
    distances, indices = nearest_points(points, None, n_neighbours - 1)
    first = distances[:, :1]
    weights = np.exp((first - distances) / _scales(distances, first)).astype(np.float32)
    starts = np.arange(0, weights.size + 1, n_neighbours - 1)
    graph = csr_matrix((weights.ravel(), indices.ravel(), starts), shape=(len(points), len(points)))
    return graph + graph.T - graph.multiply(graph.T)


def _scales(distances: Float[ndarray, "n others"], first: Float[ndarray, "n 1"] | float) -> Float[ndarray, "n 1"]:
    """The σ of each row with Σ exp(-(distance - first) / σ) = log2(others + 1), by bisection."""
    offsets, target = distances - first, np.log2(distances.shape[1] + 1)
    low, high = np.zeros((len(distances), 1)), 1e3 * distances[:, -1:]
    for _ in range(50):
        middle = (low + high) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            is_wide = np.sum(np.exp(-offsets / middle), axis=1, keepdims=True) > target
        low, high = np.where(is_wide, low, middle), np.where(is_wide, middle, high)
    return np.maximum(high, MIN_SCALE * distances.mean(axis=1, keepdims=True))
