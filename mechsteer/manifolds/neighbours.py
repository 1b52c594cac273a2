"""The nearest neighbours: no shape is assumed."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from numpy import ndarray

from .base import Manifold, from_centre
from .nearest import nearest_points
from .sample import Sample
from .stream import Points

NAME = "Neighbours"
ORDER = 10
DISTANCE = "neighbours"
TITLE = "nearest neighbours"


@final
@dataclass(frozen=True, eq=False)
class Neighbours(Manifold):
    """A sample of the points (less `centre`), and each one's mean distance to its nearest others, `local_scale`.

    Judge activations of other texts than those of the fit: a point that was kept counts itself among its neighbours.
    """

    points: Float[ndarray, "kept d"]
    centre: Float[ndarray, " d"]
    local_scale: Float[ndarray, " kept"]
    n_neighbours: int
    seed: int

    unit = "activation"

    @classmethod
    def fit(cls, activations: Points, *, n_neighbours: int = 10, n_kept: int = 10_000, seed: int = 0) -> "Neighbours":
        """Keep `n_kept` of the distinct points, drawn with the seed; fewer points lie further apart."""
        sample = Sample.of(activations, n_kept, seed)
        distances, _ = nearest_points(sample.points, None, n_neighbours)
        return cls(local_scale=distances.mean(axis=1), n_neighbours=n_neighbours, **vars(sample))

    def distance(self, h: Float[ndarray, "n d"]) -> Float[ndarray, " n"]:
        """Mean distance to the nearest points."""
        distances, _ = nearest_points(self.points, from_centre(h, self.centre, self.points.dtype), self.n_neighbours)
        return distances.mean(axis=1)

    def ratio(self, h: Float[ndarray, "n d"]) -> Float[ndarray, " n"]:
        """That distance over the mean `local_scale` of the same points: about one on the manifold, dense or sparse."""
        distances, indices = nearest_points(
            self.points, from_centre(h, self.centre, self.points.dtype), self.n_neighbours
        )
        return distances.mean(axis=1) / self.local_scale[indices].mean(axis=1)

    def nearest(self, h: Float[ndarray, "n d"]) -> Float[ndarray, "n d"]:
        """The nearest point that was kept."""
        _, indices = nearest_points(self.points, from_centre(h, self.centre, self.points.dtype), 1)
        return self.points[indices[:, 0]] + self.centre
