"""The nearest points, by scikit-learn's brute force in float64."""

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from ..errors import InputError

BLOCK = 2**17
"""Numbers of which differences are held at once: a megabyte, which stays in the cache."""


def nearest_points(
    points: Float[ndarray, "kept d"], queries: Float[ndarray, "n d"] | None, n_neighbours: int
) -> tuple[Float[ndarray, "n k"], Int[ndarray, "n k"]]:
    """Distances and indices of each query's nearest points, the nearest first; of the points' own if None.

    No point is a neighbour of its own. Equally near points come in the order of their indices; where they compete for the
    last place, either may be left out. So may one that is nearer by less than float64 products tell, about 1e-15 |p|² in d².
    """
    from sklearn.neighbors import NearestNeighbors  # slow to load

    own = queries is None
    queries = points if own else queries
    if not 1 <= n_neighbours <= len(points) - own:
        raise InputError(
            f"{n_neighbours} neighbours were asked for among {len(points) - own} points. "
            "Keep more points, or ask for fewer."
        )
    if not np.isfinite(queries).all():
        raise InputError("Some activations are NaN or infinite. Leave them out, or steer less far.")
    dtype = np.result_type(points, queries)
    search = NearestNeighbors(n_neighbors=n_neighbours, algorithm="brute").fit(points.astype(dtype, copy=False))
    indices = np.sort(search.kneighbors(None if own else queries.astype(dtype, copy=False), return_distance=False))
    # Products lose the digits of small distances; differences have them all.
    distances = np.empty(indices.shape)
    rows = max(BLOCK // (n_neighbours * points.shape[1]), 1)
    for begin in range(0, len(queries), rows):
        some = slice(begin, begin + rows)
        difference = np.subtract(points[indices[some]], queries[some, None], dtype=np.float64)
        distances[some] = np.sqrt(np.einsum("nkd,nkd->nk", difference, difference))
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(distances, order, 1), np.take_along_axis(indices, order, 1)
