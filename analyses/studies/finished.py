"""A finished study, read from its folder; nothing here needs the model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mechsteer.errors import InputError
from mechsteer.measuring.sweeps import Sweep, load_sweeps


@dataclass(frozen=True)
class Study:
    """What a finished study holds; everything is read from its folder, and nothing needs the model."""

    folder: Path
    summary: dict[str, Any]
    sweeps: tuple[Sweep, ...]
    fits: dict[str, dict[str, dict[str, Any]]]
    """By intervention, then by quantity ("preference", "utility"): `CurveFit.to_dict()`. One training seed has fits."""

    @classmethod
    def load(cls, folder: str | Path) -> "Study":
        """Read a study's folder."""
        folder = Path(folder)
        if not (folder / "study.json").is_file():
            raise InputError(f"{str(folder)!r} holds no study.json. Pass the --out folder of a finished study.")
        return cls(
            folder,
            json.loads((folder / "study.json").read_text()),
            tuple(load_sweeps(folder / "sweeps.parquet")),
            json.loads((folder / "fits.json").read_text()),
        )

    def table(self, name: str) -> pd.DataFrame:
        """A table of the folder, such as "frontier" or "sites"."""
        return pd.read_parquet(self.folder / f"{name}.parquet")
