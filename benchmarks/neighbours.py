"""Exact nearest neighbours against scikit-learn's brute force, in one run: `python benchmarks/neighbours.py`."""

import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import typer
from sklearn.neighbors import NearestNeighbors

sys.path.insert(0, str(Path(__file__).parents[1]))

from mechsteer.manifolds.nearest import nearest_points  # noqa: E402


def main(
    n_points: int = 40_000, n_queries: int = 4_000, width: int = 768, n_neighbours: int = 10, device: str = ""
) -> None:
    """Print seconds of the first call and of the best of three more, taken in turn, and memory beside the points'.

    With a device the products are PyTorch's; without, a GPU takes them where PyTorch is loaded, so not here.
    """
    if device:
        import torch  # noqa: F401 (what takes the products)
    rng = np.random.default_rng(0)
    points, queries = (rng.standard_normal((n, width), dtype=np.float32) for n in (n_points, n_queries))

    def ours():
        return nearest_points(points, queries, n_neighbours, device=device or None)

    def theirs():
        return NearestNeighbors(n_neighbors=n_neighbours, algorithm="brute").fit(points).kneighbors(queries)

    ways = {"mechsteer": ours, "scikit-learn": theirs}
    first = {name: seconds(way) for name, way in ways.items()}
    again = [{name: seconds(way) for name, way in ways.items()} for _ in range(3)]
    tracemalloc.start()
    _, found = ours()
    _, extra = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    best = {name: min(run[name] for run in again) for name in ways}
    for name in ways:
        print(f"{name:12} first {first[name]:6.2f} s, best {best[name]:6.2f} s")
    print(f"ratio {best['mechsteer'] / best['scikit-learn']:.2f}; extra memory {extra / 1e6:.0f} MB")
    print(f"the same neighbours in {np.mean(found == theirs()[1]):.4%} of places (scikit-learn answers in float32)")


def seconds(way: Callable[[], object]) -> float:
    """How long one call takes."""
    start = perf_counter()
    way()
    return perf_counter() - start


if __name__ == "__main__":
    typer.run(main)
