"""The nearest points, exactly: fast products leave a few candidates, and float64 decides between them."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from ..errors import InputError

BLOCK_BYTES = 2**24
CACHE_BYTES = 2**20
GROUPS_PER_NEIGHBOUR = 4


def nearest_points(
    points: Float[ndarray, "kept d"],
    queries: Float[ndarray, "n d"] | None,
    n_neighbours: int,
    *,
    device: str | None = None,
) -> tuple[Float[ndarray, "n k"], Int[ndarray, "n k"]]:
    """Distances and indices of each query's nearest points, the nearest first; of the points' own if None.

    No point is a neighbour of its own. Equally near points come in the order of their indices. An offset that all points
    share makes no result wrong, but leaves many candidates: take it away first.

    Args:
        device: where PyTorch takes the products. By default on a GPU, if PyTorch is loaded and sees one with room;
            otherwise NumPy takes them. What is found is the same.
    """
    own = queries is None
    queries = points if own else queries
    if not 1 <= n_neighbours <= len(points) - own:
        raise InputError(
            f"{n_neighbours} neighbours were asked for among {len(points) - own} points. "
            "Keep more points, or ask for fewer."
        )
    if not np.isfinite(queries).all():
        raise InputError("Some activations are NaN or infinite. Leave them out, or steer less far.")
    screen = _Screen.of(points, gpu_with_room(points) if device is None else device)
    found = np.empty((len(queries), n_neighbours)), np.empty((len(queries), n_neighbours), np.int64)
    step = max(1, BLOCK_BYTES // (points.itemsize * len(points)))
    for start in range(0, len(queries), step):
        some = queries[start : start + step]
        rows, columns = screen.candidates(some, n_neighbours, start if own else None)
        squares = _squared_distances(points, some, rows, columns)
        order = np.lexsort((columns, squares, rows))
        first = np.searchsorted(rows, np.arange(len(some)))
        nearest = order[first[:, None] + np.arange(n_neighbours)]
        found[0][start : start + step], found[1][start : start + step] = np.sqrt(squares[nearest]), columns[nearest]
    return found


@dataclass(frozen=True, eq=False)
class _Screen:
    """Points and their squared lengths, |p|², where the products are taken: in NumPy, or on a device of PyTorch's."""

    points: Any
    squares: Any
    lengths: Float[ndarray, " kept"]
    dtype: np.dtype
    device: str | None

    @classmethod
    def of(cls, points: Float[ndarray, "kept d"], device: str | None) -> "_Screen":
        squares = np.einsum("nd,nd->n", points, points, dtype=np.float64)
        # A device computes in float64, for its float32 may be TensorFloat-32, which has three digits.
        dtype = points.dtype if device is None else np.dtype(np.float64)
        return cls(_on(device, points, dtype), _on(device, squares, dtype), np.sqrt(squares), dtype, device)

    def candidates(
        self, queries: Float[ndarray, "n d"], n_neighbours: int, own: int | None
    ) -> tuple[Int[ndarray, " found"], Int[ndarray, " found"]]:
        """Rows of queries and of points such that no neighbour is missing, by query; `own` is the first query's point."""
        n_points, each = len(self.lengths), np.arange(len(queries))
        near = _on(self.device, -2 * queries, self.dtype) @ self.points.T
        near += self.squares
        if own is not None:
            near[each, own + each] = np.inf
        # Rounding moves |p|² - 2 q·p by at most this times (|q| + |p|)².
        error = (queries.shape[1] + 8) * np.finfo(self.dtype).eps
        squares = np.einsum("nd,nd->n", queries, queries, dtype=np.float64)
        lengths = np.sqrt(squares)

        # The nearest of each group of points: the k-th of these is no nearer than the k-th neighbour.
        n_groups = min(n_points, GROUPS_PER_NEIGHBOUR * n_neighbours)
        size = n_points // n_groups
        grouped = near[:, : n_groups * size].reshape(len(queries), n_groups, size)
        leaders = _here(grouped.argmin(-1)) + size * np.arange(n_groups)
        highest = _here(near[each[:, None], leaders]) + error * (lengths[:, None] + self.lengths[leaders]) ** 2
        highest = np.partition(highest, n_neighbours - 1, axis=1)[:, n_neighbours - 1]
        # So a neighbour is no longer than |q| and its distance together.
        reach = np.sqrt(np.maximum(highest + squares, 0))
        limit = highest + error * (2 * lengths + reach) ** 2
        may_be = _here(near <= _on(self.device, limit, self.dtype)[:, None])
        return np.divmod(np.flatnonzero(may_be), n_points)


def _squared_distances(points: ndarray, queries: ndarray, rows: ndarray, columns: ndarray) -> Float[ndarray, " found"]:
    squares = np.empty(len(rows))
    step = max(1, CACHE_BYTES // (8 * points.shape[1]))
    for part in (slice(start, start + step) for start in range(0, len(rows), step)):
        difference = np.subtract(points[columns[part]], queries[rows[part]], dtype=np.float64)
        squares[part] = np.einsum("nd,nd->n", difference, difference)
    return squares


def gpu_with_room(points: ndarray) -> str | None:
    """PyTorch's GPU. PyTorch is not imported for this: where no model has been loaded, nothing needs it."""
    torch = sys.modules.get("torch")
    has_room = torch is not None and torch.cuda.is_available() and torch.cuda.mem_get_info()[0] > 16 * points.size
    return "cuda" if has_room else None


def _on(device: str | None, array: ndarray, dtype: np.dtype) -> Any:
    if device is None:
        return array.astype(dtype, copy=False)
    return sys.modules["torch"].as_tensor(array, device=device).double()


def _here(array: Any) -> ndarray:
    return array if isinstance(array, ndarray) else array.cpu().numpy()
