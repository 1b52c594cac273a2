"""A finished study, read from its folder; nothing here needs the model."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mechsteer.errors import InputError
from mechsteer.measuring.sweeps import Sweep, load_sweeps
from mechsteer.statistics.judging import Claim
from mechsteer.store.keys import Key

from .folder import read_manifest

Fits = dict[str, dict[str, Any]]
"""By quantity ("preference", "utility"): `CurveFit.to_dict()`."""


@dataclass(frozen=True)
class Study:
    """What a finished study holds; everything is read from its folder, and found by what it is of."""

    folder: Path
    summary: dict[str, Any]
    sweeps: tuple[Sweep, ...]
    fits: dict[Key, Fits]
    """Of one training seed."""

    @classmethod
    def load(cls, folder: str | Path) -> "Study":
        """Read a study's folder."""
        folder = Path(folder)
        if not (folder / "study.json").is_file():
            raise InputError(f"{str(folder)!r} holds no study.json. Pass the --out folder of a finished study.")
        summary = read_manifest(folder / "study.json")
        fits = json.loads((folder / "fits.json").read_text(encoding="utf-8"))
        return cls(
            folder,
            summary,
            tuple(load_sweeps(folder / "sweeps.parquet")),
            {Key.of(row["key"]): {name: fit for name, fit in row.items() if name != "key"} for row in fits},
        )

    def table(self, name: str) -> pd.DataFrame:
        """A table of the folder, such as "frontier" or "sites"."""
        return pd.read_parquet(self.folder / f"{name}.parquet")

    def sweep_of(self, key: Key) -> Sweep:
        """The sweep of a steer."""
        for sweep in self.sweeps:
            if sweep.key == key:
                return sweep
        raise InputError(f"The study holds no sweep of {key}. Its tables are of another study: run that one again.")

    @property
    def judged(self) -> list[Key]:
        """The steers that claims were asked of."""
        return [Key.of(row) for row in self.summary.get("judged", [])]

    @cached_property
    def claims(self) -> list[Claim]:
        """Every claim, corrected for how many they are; none where nothing was judged."""
        path = self.folder / "claims.json"
        rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        return [Claim.from_dict(row) for row in rows]
