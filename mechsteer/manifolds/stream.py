"""A stream of activations, block by block, with exact repeats dropped: one token context gives one point."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt64
from numpy import ndarray

from ..brief import brief
from ..errors import InputError

Points = Float[ndarray, "points d"] | Iterable[Float[ndarray, "_ d"]]
"""Activations in one array, or in batches that need not fit into memory together; a generator is read once."""

ROWS_PER_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Block:
    """Points that have not come before, a random key for each, and how many repeats were dropped among them."""

    points: Float[ndarray, "points d"]
    keys: UInt64[ndarray, " points"]
    n_duplicates: int

    __repr__ = brief


def distinct_blocks(activations: Points, seed: int = 0) -> Iterator[Block]:
    """Blocks of the stream in its order; in memory are one block and some 100 bytes for each point seen.

    A point's key depends on its value and the seed alone, so the points with the smallest keys are a uniform sample
    of the distinct ones, whatever their order. Only exact repeats are known: a text that is run again in another batch
    may come back with other last digits.
    """
    secret = seed.to_bytes(8, "little", signed=True)
    seen: set[int] = set()
    d = None
    for batch in [activations] if isinstance(activations, ndarray) else activations:
        d = batch.shape[-1] if d is None else d
        if batch.ndim != 2 or batch.shape[1] != d:
            raise InputError(
                f"A batch of activations has shape {batch.shape}. Pass batches [points, {d}], of one site."
            )
        for start in range(0, len(batch), ROWS_PER_BLOCK):
            # Adding zero makes the two zeros one, and the rows contiguous.
            points = np.ascontiguousarray(batch[start : start + ROWS_PER_BLOCK]) + 0.0
            if not np.isfinite(points).all():
                raise InputError("Some activations are NaN or infinite. Leave them out, or run the model in float32.")
            keys = np.empty(len(points), np.uint64)
            is_new = np.empty(len(points), bool)
            for row, point in enumerate(points):
                key = int.from_bytes(hashlib.blake2b(point, digest_size=8, key=secret).digest(), "little")
                keys[row], is_new[row] = key, key not in seen
                seen.add(key)
            yield Block(points[is_new], keys[is_new], int(np.sum(~is_new)))
