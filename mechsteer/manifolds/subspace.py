"""The principal subspace: activations vary in few directions."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..errors import InputError
from .base import Manifold, from_centre
from .moments import Moments
from .stream import Points

NAME = "Subspace"
ORDER = 20
DISTANCE = "subspace"
TITLE = "principal subspace"


@final
@dataclass(frozen=True, eq=False)
class Subspace(Manifold):
    """mean + span of the components; `spectrum` holds the variances along all principal directions, falling."""

    mean: Float[ndarray, " d"]
    components: Float[ndarray, "k d"]
    spectrum: Float[ndarray, " d"]

    unit = "activation"

    @classmethod
    def fit(
        cls, activations: Points, *, variance_explained: float = 0.95, n_components: int | None = None
    ) -> "Subspace":
        """The fewest components that explain a share of the variance, unless their number is given.

        Rules that look for a floor of noise (parallel analysis, Gavish and Donoho) keep nearly every direction of
        activations, whose spectrum is a power law without a floor. A share means the same at every layer: the points
        lie at a root mean square distance of sqrt(1 - share) of their spread. Where one coordinate is massive, as in
        many residual streams, it alone can fill the share; `spectrum` shows it.
        """
        moments = Moments.of(activations)
        spectrum, directions = np.linalg.eigh(moments.covariance)
        spectrum, directions = np.maximum(spectrum[::-1], 0), directions.T[::-1]
        d = len(spectrum)
        if not 0 < variance_explained <= 1 or not 0 < (n_components or 1) <= d:
            raise InputError(
                f"{n_components} components or a share of {variance_explained} were asked for. "
                f"Give a number from 1 to {d}, or a share above zero and at most one."
            )
        if n_components is None:
            explained = np.cumsum(spectrum)
            n_components = 1 + int(np.searchsorted(explained, variance_explained * explained[-1]))
        return cls(
            mean=moments.mean,
            components=np.ascontiguousarray(directions[:n_components]),
            spectrum=spectrum,
            n_points=moments.n_points,
            n_duplicates=moments.n_duplicates,
        )

    def distance(self, h: Float[ndarray, "n d"]) -> Float[ndarray, " n"]:
        """Length of what the components leave of h - mean."""
        offset = from_centre(h, self.mean)
        return np.linalg.norm(offset - offset @ self.components.T @ self.components, axis=1)

    def nearest(self, h: Float[ndarray, "n d"]) -> Float[ndarray, "n d"]:
        """The projection of h; it may lie further out than any point has been, for a subspace has no end."""
        return self.mean + from_centre(h, self.mean) @ self.components.T @ self.components
