"""The Gaussian: how unusual an activation is in every direction at once."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import solve_triangular
from scipy.stats import chi2

from ..errors import InputError
from .base import Manifold, from_centre
from .moments import Moments
from .stream import Points

COVERAGE = 0.95
"""Share of the Gaussian within the ellipsoid that `nearest` projects onto."""


NAME = "Gaussian"
ORDER = 30
DISTANCE = "gaussian"
TITLE = "Gaussian"


@final
@dataclass(frozen=True, eq=False)
class Gaussian(Manifold):
    """Mean and covariance, the latter shrunk towards a multiple of the identity; `factor` is its Cholesky factor.

    Small is not normal: a Gaussian in d dimensions has its points at distances of about √d, and few at its mean.
    """

    mean: Float[ndarray, " d"]
    factor: Float[ndarray, "d d"]
    shrinkage: float

    unit = "standard deviations"

    @classmethod
    def fit(cls, activations: Points, *, shrinkage: float | None = None) -> "Gaussian":
        """Shrink by the oracle approximating rule (Chen, Wiesel, Eldar and Hero 2010, eq. 23) unless told how far.

        The rule needs no more than the covariance and the number of points, so one pass over a stream will do. It adds
        `shrinkage` times the mean variance to every direction: those that vary less than that look less unusual than
        they are, until there are points enough.
        """
        moments = Moments.of(activations)
        covariance, d = moments.covariance, len(moments.mean)
        variance = np.trace(covariance) / d
        if variance == 0:
            raise InputError("The activations hardly differ at all. Pass activations of texts that do.")
        if shrinkage is None:
            square = np.mean(covariance**2)
            excess = (moments.n_points + 1) * (square - variance**2 / d)
            shrinkage = min(float((square + variance**2) / excess), 1.0) if excess > 0 else 1.0
        shrunk = (1 - shrinkage) * covariance
        shrunk[np.diag_indices(d)] += shrinkage * variance
        return cls(
            mean=moments.mean,
            factor=np.linalg.cholesky(shrunk),
            shrinkage=shrinkage,
            n_points=moments.n_points,
            n_duplicates=moments.n_duplicates,
        )

    @property
    def radius(self) -> float:
        """Mahalanobis distance within which 95 % of the Gaussian lie."""
        return float(np.sqrt(chi2.ppf(COVERAGE, len(self.mean))))

    def distance(self, h: Float[ndarray, "n d"]) -> Float[ndarray, " n"]:
        """Mahalanobis distance from the mean."""
        offset = from_centre(h, self.mean)
        return np.linalg.norm(solve_triangular(self.factor, offset.T, lower=True, overwrite_b=True), axis=0)

    def nearest(self, h: Float[ndarray, "n d"]) -> Float[ndarray, "n d"]:
        """h itself within `radius`, else the nearest such point in this metric: it is on the line to the mean."""
        distance = np.maximum(self.distance(h), self.radius)
        return self.mean + from_centre(h, self.mean) * (self.radius / distance)[:, None]
