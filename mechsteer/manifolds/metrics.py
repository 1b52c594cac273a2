"""Metrics: three ways to say how far apart two activations are, declared before anything is measured.

A distance in raw coordinates is ruled by the few that are large; one in whitened coordinates counts every direction alike; and
the rest of the network sees neither, but what its next norm makes of the residual. A conclusion that needs one of them is
about that metric, and not about the model.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.linalg import solve_triangular

from .gaussian import Gaussian

Metric = Callable[[Float[ndarray, "n d"]], Float[ndarray, "n d"]]
"""Activations as a metric sees them: distances are Euclidean there."""
RAW, WHITENED, NORMED = "raw", "whitened", "next norm"
METRICS = (RAW, WHITENED, NORMED)


def metrics(points: Float[ndarray, "points d"], norm: Metric | None) -> dict[str, Metric]:
    """By name, from activations of other texts than those that are judged.

    Args:
        norm: what reads the place next, or None where nothing does before it is taken apart (a norm behind each branch).
    """
    gaussian = Gaussian.fit(points)

    def whiten(h: Float[ndarray, "n d"]) -> Float[ndarray, "n d"]:
        return solve_triangular(gaussian.factor, (h.astype(np.float64) - gaussian.mean).T, lower=True).T

    found: dict[str, Metric] = {RAW: np.asarray, WHITENED: whiten}
    return found if norm is None else found | {NORMED: norm}
