"""Sweeps, which take up what was measured before; the curves fitted to them; methods compared on the frontier."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from mechsteer.curves import fit_preference, fit_utility
from mechsteer.errors import InputError
from mechsteer.measuring.sweeps import CELLS, Sweep
from mechsteer.models.sites import parse_sites
from mechsteer.pairs.polarity import Pairs, PolarityPair
from mechsteer.store.atomic import write_json
from mechsteer.store.keys import Key, digest
from mechsteer.store.sums import read_sealed, write_sealed
from mechsteer.store.units import Bench, Unit

from .steers import FindRange, PairSet, Steer

ARRAYS = (*CELLS, "site_shifts")
"""Of a sweep, by multiplier and pair; the last by site too, where there are several."""


@dataclass(frozen=True)
class Measure(Unit[Sweep]):
    """A steer at every multiplier on every pair.

    What an earlier sweep of the same steer has measured is taken from it, so that more multipliers or more pairs cost what
    is new. A pair's losses depend on what it was batched with in their last digits only (1e-6).
    """

    steer: Steer
    pairs: PairSet
    multipliers: FindRange | tuple[float, ...]

    kind = "sweep"
    version = 2

    @property
    def words(self) -> str:
        return f"the sweep of {self.result}"

    @property
    def result(self) -> Key:
        """What the sweep is of."""
        return replace(self.steer.steer, pairs=self.pairs.name, pairs_content=self.pairs.content)

    @property
    def group(self) -> str:
        """Shared by the sweeps of one steer."""
        return digest(["sweeps of", self.steer.key])[:32]

    def grid(self, at: Bench) -> Float[ndarray, " m"]:
        """The multipliers."""
        return at.get(self.multipliers) if isinstance(self.multipliers, FindRange) else np.array(self.multipliers)

    def compute(self, at: Bench) -> Sweep:
        pairs, grid = at.get(self.pairs), self.grid(at)
        cells = _Cells.empty(grid, pairs, len(parse_sites(self.steer.sites)))
        for sweep, measured in self._known(at):
            cells.put(sweep, measured)
        for number, (multipliers, columns) in enumerate(cells.missing()):
            some = Pairs(tuple(pairs[column] for column in columns), pairs.name)
            cells.put(self._measure(at, some, multipliers, str(number)), list(some))
        return Sweep(
            multipliers=grid,
            pairs=tuple(pair.id or str(index) for index, pair in enumerate(pairs)),
            key=self.result,
            tokens_positive=cells.tokens[0],
            tokens_negative=cells.tokens[1],
            **cells.values,
        )

    def _measure(self, at: Bench, pairs: Pairs, multipliers: Sequence[float], part: str) -> Sweep:
        import mechsteer as ms

        model, intervention = at.model(self.steer.model), at.get(self.steer)
        return ms.run_sweep(model, intervention, pairs, multipliers, checkpoint=at.parts(self) / part)

    def save(self, value: Sweep, folder: Path) -> None:
        names = (*ARRAYS, "multipliers", "tokens_positive", "tokens_negative")
        arrays = {name: array for name in names if (array := getattr(value, name)) is not None}
        np.savez(folder / "sweep.npz", allow_pickle=False, pairs=np.array(value.pairs, dtype=str), **arrays)

    def load(self, folder: Path) -> Sweep:
        with np.load(folder / "sweep.npz", allow_pickle=False) as file:
            arrays: dict[str, Any] = dict(file)
        return Sweep(pairs=tuple(arrays.pop("pairs").tolist()), key=self.result, **arrays)

    def done(self, at: Bench) -> None:
        at.store.mark(self.group, self.key)

    def _known(self, at: Bench) -> list[tuple[Sweep, Pairs]]:
        """Finished sweeps of the same steer with each one's pairs. Which they are is settled when this one first begins, so
        that after an interruption it goes on to what it would have become without."""
        plan = at.parts(self) / "taken-from.json"
        if (kept := read_sealed(plan)) is None:
            kept = json.dumps([key for key in at.store.marked(self.group) if key != self.key]).encode()
            write_sealed(kept, plan)
        found = []
        for key in json.loads(kept):
            if not at.holds(key) or not at.holds(of := at.store.record(key)["said"]["pairs"]["unit"]):
                continue
            pairs = self.pairs.load(at.store.place(of))
            found.append((self.load(at.store.place(key)), pairs))
        return found


@dataclass(frozen=True)
class _Cells:
    """What is known so far of each multiplier and pair; a pair is its texts, whatever it is called."""

    grid: Float[ndarray, " m"]
    columns: dict[tuple[str, ...], list[int]]
    values: dict[str, Any]
    """By multiplier and pair, the last axes."""
    tokens: Int[ndarray, "2 pairs"]

    @classmethod
    def empty(cls, grid: Float[ndarray, " m"], pairs: Pairs, n_sites: int) -> "_Cells":
        columns: dict[tuple[str, ...], list[int]] = {}
        for column, pair in enumerate(pairs):
            columns.setdefault(pair.texts, []).append(column)
        shape = (len(grid), len(pairs))
        shapes = dict.fromkeys(CELLS, shape) | ({"site_shifts": (n_sites, *shape)} if n_sites > 1 else {})
        values = {name: np.full(whole, np.nan) for name, whole in shapes.items()}
        return cls(grid, columns, values, np.zeros((2, len(pairs)), np.int64))

    def put(self, sweep: Sweep, pairs: Sequence[PolarityPair]) -> None:
        """Take over what the sweep says of these multipliers and pairs."""
        _, rows, from_rows = np.intersect1d(self.grid, sweep.multipliers, return_indices=True)
        both = [(source, column) for source, pair in enumerate(pairs) for column in self.columns.get(pair.texts, ())]
        from_columns, columns = np.array(both, dtype=np.int64).reshape(-1, 2).T
        here, there = (..., *np.ix_(rows, columns)), (..., *np.ix_(from_rows, from_columns))
        for name, values in self.values.items():
            values[here] = getattr(sweep, name)[there]
        self.tokens[:, columns] = np.stack([sweep.tokens_positive, sweep.tokens_negative])[:, from_columns]

    def missing(self) -> list[tuple[list[float], list[int]]]:
        """Multipliers and the pairs that lack them; pairs that lack the same ones are measured together."""
        lacking: dict[tuple[float, ...], list[int]] = {}
        for column, is_missing in enumerate(np.isnan(self.values["relative_shift"]).T):
            if is_missing.any():
                lacking.setdefault(tuple(self.grid[is_missing].tolist()), []).append(column)
        return [(list(multipliers), columns) for multipliers, columns in lacking.items()]


@dataclass(frozen=True)
class Fit(Unit[dict[str, Any]]):
    """Both curves of a sweep."""

    sweep: Measure
    seed: int

    kind = "fit"
    version = 2

    @property
    def words(self) -> str:
        return f"curves of {self.sweep.steer.steer.steer}"

    def compute(self, at: Bench) -> dict[str, Any]:
        sweep = at.get(self.sweep)
        return {
            "preference": fit_preference(sweep, seed=self.seed).to_dict(),
            "utility": fit_utility(sweep, seed=self.seed).to_dict(),
        }

    def save(self, value: dict[str, Any], folder: Path) -> None:
        write_json(value, folder / "fit.json")

    def load(self, folder: Path) -> dict[str, Any]:
        return json.loads((folder / "fit.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Tables:
    """Tables by name; where there are none, why."""

    tables: dict[str, pd.DataFrame]
    because: str = ""

    def save(self, folder: Path) -> None:
        for name, table in self.tables.items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
        write_json({"tables": list(self.tables), "because": self.because}, folder / "tables.json")

    @classmethod
    def load(cls, folder: Path) -> "Tables":
        said = json.loads((folder / "tables.json").read_text(encoding="utf-8"))
        return cls({name: pd.read_parquet(folder / f"{name}.parquet") for name in said["tables"]}, said["because"])


class TablesUnit(Unit[Tables]):
    """A unit whose result is tables; what it cannot work with is an answer, and takes nothing else with it."""

    def save(self, value: Tables, folder: Path) -> None:
        value.save(folder)

    def load(self, folder: Path) -> Tables:
        return Tables.load(folder)

    def compute(self, at: Bench) -> Tables:
        try:
            return Tables(self.tables(at))
        except InputError as error:
            return Tables({}, str(error))

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        """The tables, or an InputError that says why there are none."""
        raise NotImplementedError
