"""A finished study, read from its folder, as it was written there or not at all; nothing here needs the model."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mechsteer.errors import InputError
from mechsteer.measuring.sweeps import Sweep, load_sweeps
from mechsteer.pairs.checks import Finding
from mechsteer.statistics.judging import CLAIM, Claim
from mechsteer.store.keys import Key, split_by_key
from mechsteer.store.reading import damaged, read_json
from mechsteer.store.schema import misfit
from mechsteer.store.sums import Sums, write_sums
from mechsteer.store.tables import read_table

from .folder import read_manifest
from .tables import COLUMNS_OF, FINDINGS, FITS, TOLD

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
    _rows: dict[str, dict[Key, pd.DataFrame]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Of tables that were asked for by key: a page asks for each of them once a steer."""

    @classmethod
    def load(cls, folder: str | Path, *, with_sweeps: bool = True) -> "Study":
        """Read a study's folder; the sweeps are what takes long."""
        folder = Path(folder)
        if not (folder / "study.json").is_file():
            raise InputError(f"{str(folder)!r} holds no study.json. Pass the --out folder of a finished study.")
        summary, sums = read_manifest(folder / "study.json"), Sums.of(folder)
        fits = read_json(sums.path("fits.json"), FITS)
        return cls(
            folder,
            summary,
            tuple(load_sweeps(sums.path("sweeps.parquet"))) if with_sweeps else (),
            {Key.of(row["key"]): {name: fit for name, fit in row.items() if name != "key"} for row in fits},
        )

    @property
    def sums(self) -> Sums:
        """The folder's files, each of which is given only if it is as it was written."""
        return Sums.of(self.folder)

    def wrote(self, paths: Iterable[Path]) -> None:
        """Count files as the study's own that were drawn anew in its folder."""
        inside = self.folder.resolve()
        write_sums(self.folder, [path for path in paths if inside in path.resolve().parents])

    def table(self, name: str) -> pd.DataFrame:
        """A table of the folder, such as "frontier" or "sites"."""
        return read_table(self.sums.path(f"{name}.parquet"), COLUMNS_OF.get(name))

    def rows(self, name: str, key: Key) -> pd.DataFrame:
        """A table's rows of a steer; none where the study lacks the table, or it is not of this steer."""
        if name not in self._rows:
            self._rows[name] = split_by_key(self.table(name)) if self.sums.has(f"{name}.parquet") else {}
        return self._rows[name].get(key, pd.DataFrame()).copy()

    def sweep_of(self, key: Key) -> Sweep:
        """The sweep of a steer."""
        for sweep in self.sweeps:
            if sweep.key == key:
                return sweep
        raise InputError(f"The study holds no sweep of {key}. Its tables are of another study: run that one again.")

    def fits_of(self, key: Key) -> Fits:
        """The fits of a steer's sweep."""
        if key not in self.fits:
            raise InputError(f"The study in {str(self.folder)!r} holds no curves of {key}. Run it again.")
        return self.fits[key]

    @property
    def told(self) -> dict[str, Any]:
        """The summary, with all that is told of a study."""
        if wrong := misfit(self.summary, TOLD):
            raise damaged(self.folder / "study.json", wrong)
        return self.summary

    @property
    def width(self) -> str:
        """Of its figures, as it was asked for; "" where nothing was."""
        return self.summary.get("settings", {}).get("width", "")

    @property
    def findings(self) -> list[Finding]:
        """What was found of its pairs."""
        findings = self.summary.get("findings", [])
        wrong = misfit(findings, FINDINGS, "'findings'")
        wrong = wrong or next(
            (bad for each in findings if (bad := misfit(each.get("groups", []), [str], "'groups'"))), ""
        )
        if wrong:
            raise damaged(self.folder / "study.json", wrong)
        known = [{name: finding[name] for name in FINDINGS[0]} for finding in findings]
        groups = [tuple(finding.get("groups", ())) for finding in findings]
        return [Finding(**of, groups=columns) for of, columns in zip(known, groups, strict=True)]

    @property
    def judged(self) -> list[Key]:
        """The steers that claims were asked of."""
        return [Key.of(row) for row in self.summary.get("judged", [])]

    @cached_property
    def claims(self) -> list[Claim]:
        """Every claim, corrected for how many they are; none where nothing was judged."""
        rows = read_json(self.sums.path("claims.json"), [CLAIM]) if self.sums.has("claims.json") else []
        return [Claim.from_dict(row) for row in rows]
