"""The local tangent: near each activation the manifold is flat."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..errors import InputError
from .base import Manifold, from_centre
from .intrinsic_dimension import maximum_likelihood
from .nearest import nearest_points
from .sample import Sample
from .stream import Points

BLOCK_BYTES = 2**25
FLAT = 1e-9
"""Share of the largest local variance under which a direction is rounding and belongs to no tangent."""


NAME = "LocalTangent"
ORDER = 40
DISTANCE = "tangent"
TITLE = "local tangent"


@final
@dataclass(frozen=True, eq=False)
class LocalTangent(Manifold):
    """A sample of the points (less `centre`); the tangent at h is the principal plane of its nearest among them.

    A plane has no end, so far away along it `distance` stays small: read it beside the distance to the neighbours.
    """

    points: Float[ndarray, "kept d"]
    centre: Float[ndarray, " d"]
    dimension: int
    n_neighbours: int
    seed: int

    unit = "activation"

    @classmethod
    def fit(
        cls,
        activations: Points,
        *,
        dimension: int | None = None,
        n_neighbours: int = 64,
        n_kept: int = 10_000,
        seed: int = 0,
    ) -> "LocalTangent":
        """The tangent's dimension is the rounded intrinsic dimension at its own scale, unless given."""
        sample = Sample.of(activations, n_kept, seed)
        if dimension is None:
            dimension = max(1, round(maximum_likelihood(sample, n_neighbours=n_neighbours).estimate))
        n_kept, d = sample.points.shape
        if not 1 <= dimension < min(n_neighbours, d) or n_neighbours > n_kept:
            raise InputError(
                f"A tangent of dimension {dimension} was asked for, from {n_neighbours} neighbours of width {d} among "
                f"{n_kept} points. Choose a dimension under both the width and the neighbours, and keep more points."
            )
        return cls(dimension=dimension, n_neighbours=n_neighbours, **vars(sample))

    def distance(self, h: Float[ndarray, "n d"]) -> Float[ndarray, " n"]:
        """How far h lies off its tangent."""
        return np.linalg.norm(self._parts(h)[1], axis=1)

    def nearest(self, h: Float[ndarray, "n d"]) -> Float[ndarray, "n d"]:
        """The projection of h onto its tangent."""
        return h - self._parts(h)[1]

    def split(
        self, h: Float[ndarray, "n d"], shift: Float[ndarray, "n d"] | None = None
    ) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
        """Lengths of a shift along and normal to the tangent at h; of h's own offset from its neighbours if None."""
        along, normal = self._parts(h, shift)
        return np.linalg.norm(along, axis=1), np.linalg.norm(normal, axis=1)

    def _parts(self, h: ndarray, shift: ndarray | None = None) -> tuple[ndarray, ndarray]:
        offset = from_centre(h, self.centre)
        _, indices = nearest_points(self.points, offset, self.n_neighbours)
        vectors = offset if shift is None else shift.astype(np.float64)
        along = np.empty_like(vectors)
        step = max(1, BLOCK_BYTES // (8 * self.n_neighbours * len(self.centre)))
        for rows in (slice(start, start + step) for start in range(0, len(h), step)):
            nearby = self.points[indices[rows]].astype(np.float64)
            mean = nearby.mean(axis=1)
            basis = _principal_directions(nearby - mean[:, None], self.dimension)
            if shift is None:
                vectors[rows] -= mean
            coordinates = np.einsum("nqd,nd->nq", basis, vectors[rows])
            along[rows] = np.einsum("nqd,nq->nd", basis, coordinates)
        return along, vectors - along


def _principal_directions(offsets: Float[ndarray, "n k d"], dimension: int) -> Float[ndarray, "n dimension d"]:
    """Orthonormal rows, or zero where the points fill fewer dimensions."""
    # The k × k products are far smaller than the d × d covariance and hold the same directions.
    variances, mixtures = np.linalg.eigh(offsets @ offsets.swapaxes(1, 2))
    largest = variances[:, -1:]
    variances, mixtures = variances[:, -dimension:], mixtures[:, :, -dimension:]
    with np.errstate(divide="ignore"):
        scale = np.where(variances > FLAT * largest, 1 / np.sqrt(np.maximum(variances, 0)), 0)
    return (mixtures * scale[:, None]).swapaxes(1, 2) @ offsets
