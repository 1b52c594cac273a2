"""The batches that an unfinished sweep has measured, kept in a folder, so that an interruption loses half a minute."""

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..store.sums import read_sealed, write_sealed

KEEP_EVERY = 30.0
"""Seconds between two files; a sweep that takes less keeps nothing."""


@dataclass
class Batches:
    """What a sweep of a key over this grid and these pairs has measured; without a folder nothing is kept."""

    folder: Path | None
    key: str
    grid: Float[ndarray, " m"]
    pairs: Sequence[str]
    found: dict[tuple[str, ...], tuple[ndarray, ndarray]] = field(default_factory=dict)
    waiting: list[tuple[tuple[str, ...], ndarray, ndarray]] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, folder: str | Path | None, key: str, grid: Float[ndarray, " m"], pairs: Sequence[str]) -> "Batches":
        """Reads what an interrupted sweep has kept; files that are damaged, or of another sweep, are passed over."""
        batches = cls(None if folder is None else Path(folder), key, grid, pairs)
        for path in sorted(batches.folder.glob("[0-9]*.part")) if batches.folder is not None else ():
            if (content := read_sealed(path)) is None:
                continue
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                kept = dict(file)
            if str(kept.pop("key", "")) != key or not np.array_equal(kept.pop("grid"), grid):
                continue
            for number in range(len(kept) // 3):
                names, losses, shifts = (kept[f"{part}{number}"] for part in ("pairs", "losses", "shifts"))
                batches.found[tuple(names.tolist())] = losses, shifts
        return batches

    def take(
        self,
        batch: Sequence[int],
        losses: Float[ndarray, "m 2 pairs"],
        shifts: Float[ndarray, "sites 4 m pairs"],
    ) -> bool:
        """Whether this very batch was measured; if so, it is put in its place."""
        found = self.found.get(tuple(self.pairs[index] for index in batch))
        if found is not None:
            losses[..., batch], shifts[..., batch] = found
        return found is not None

    def add(
        self,
        batch: Sequence[int],
        losses: Float[ndarray, "m 2 pairs"],
        shifts: Float[ndarray, "sites 4 m pairs"],
    ) -> None:
        """Count a batch as measured, and now and then bring what has been measured to the disk."""
        if self.folder is None:
            return
        self.waiting.append((tuple(self.pairs[index] for index in batch), losses[..., batch], shifts[..., batch]))
        if time.monotonic() - self.since < KEEP_EVERY:
            return
        arrays: dict[str, ndarray] = {"key": np.array(self.key), "grid": self.grid}
        for number, (names, some_losses, some_shifts) in enumerate(self.waiting):
            arrays |= {
                f"pairs{number}": np.array(names),
                f"losses{number}": some_losses,
                f"shifts{number}": some_shifts,
            }
        number = len(list(self.folder.glob("[0-9]*.part")))
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        write_sealed(content.getvalue(), self.folder / f"{number:05d}.part")
        self.waiting, self.since = [], time.monotonic()
