"""A campaign's folder: its cells' studies, and what holds across them, as it was last put together."""

import fcntl
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mechsteer.errors import InputError
from mechsteer.store.atomic import remove_left_behind, write_atomically, write_json
from mechsteer.store.keys import COLUMNS
from mechsteer.store.reading import damaged, read_json
from mechsteer.store.tables import read_table
from mechsteer.store.versions import MECHSTEER

from ..studies.finished import Study
from .cell import failure, stamped
from .judging import combined, corrected
from .plan import FORMAT, CampaignPlan, Cell
from .survey import DONE, FAILED, MISSING

CELL = {**dict.fromkeys(("name", "state", "reason", "model", "concept", "condition"), str), "seed": int}
SAID = {"format": int, "plan": str, "name": str, "primary": [str], "cells": [CELL]}


@dataclass(frozen=True)
class Campaign:
    """What a campaign's folder holds; nothing of a study is read again but by its page's link."""

    folder: Path
    said: dict[str, Any]

    @classmethod
    def load(cls, folder: str | Path) -> "Campaign":
        """Read a campaign's folder."""
        path = Path(folder) / "campaign.json"
        if not path.is_file():
            raise InputError(f"{str(folder)!r} holds no campaign.json. Pass the --out folder of a campaign.")
        said = read_json(path, SAID)
        if said["format"] != FORMAT:
            raise damaged(path, f"its format is {said['format']}, and this version reads {FORMAT}")
        return cls(Path(folder), said)

    @property
    def plan(self) -> str:
        """The hash of the plan, which stands in every result."""
        return self.said["plan"]

    @property
    def cells(self) -> list[dict[str, Any]]:
        """Every cell: its name and state, and what it is of."""
        return self.said["cells"]

    @cached_property
    def claims(self) -> pd.DataFrame:
        """Every claim of every cell, corrected over the campaign."""
        return read_table(self.folder / "claims.parquet")

    @cached_property
    def combined(self) -> pd.DataFrame:
        """Every claim's estimate over all cells."""
        return read_table(self.folder / "combined.parquet")


def put_together(plan: CampaignPlan, out: Path, finish: Callable[[Path], None] | None = None) -> Campaign:
    """What the cells that are done say together; `finish` adds figures and the page.

    Where several processes end at a time, one waits for the other, so that the last sees all that there is.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for folder in (out, out / "figures"):
            remove_left_behind(folder)
        cells = [_about(plan, cell, out) for cell in plan.cells]
        done = [cell for cell, said in zip(plan.cells, cells, strict=True) if said["state"] == DONE]
        write_together(plan, out, cells, [row for cell in done for row in claims_of(cell, out)])
        if finish is not None:
            finish(out)
    return Campaign.load(out)


def write_together(plan: CampaignPlan, out: Path, cells: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    """The campaign's own files, from what is said of its cells and every claim of theirs."""
    claims = corrected(claims_table(rows), plan.primary)
    _write(claims.assign(plan=plan.id), out / "claims.parquet")
    _write(combined(claims.loc[~claims["is_check"]]).assign(plan=plan.id), out / "combined.parquet")
    said = {
        "format": FORMAT, "plan": plan.id, "name": plan.name, "mechsteer": MECHSTEER, "primary": list(plan.primary),
        "cells": cells,
    }  # fmt: skip
    write_json(said, out / "campaign.json")


def claims_of(cell: Cell, out: Path) -> list[dict[str, Any]]:
    """The claims of a finished cell, with what they were before the study corrected them for its own tests."""
    study = Study.load(out / cell.name, with_sweeps=False)
    place = {"cell": cell.name, "concept": cell.settings.pairs, "condition": cell.condition}
    return [
        {"raw_p_value": claim.p_value, "raw_outcome": claim.outcome.value}
        | claim.to_dict()
        | place
        | {"name": claim.name, "model": cell.settings.model}
        for claim in study.claims
    ]


def claims_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Claims as columns; what is infinite or undefined is NaN."""
    words = [
        "cell", "concept", "condition", "name", "claim", "part", *COLUMNS, "against", "unit", "control", "outcome", "because",
        "raw_outcome",
    ]  # fmt: skip
    numbers = ["estimate", "low", "high", "p_value", "raw_p_value"]
    table = pd.DataFrame(rows, columns=[*words, *numbers, "is_check"])
    table[numbers] = table[numbers].astype(np.float64)
    return table.astype({name: "str" for name in words if name != "seed"} | {"seed": "Int64", "is_check": "bool"})


def _about(plan: CampaignPlan, cell: Cell, out: Path) -> dict[str, Any]:
    done, reason = stamped(out / cell.name) == plan.id, failure(out, plan.id, cell)
    return {
        "name": cell.name, "state": DONE if done else FAILED if reason else MISSING, "reason": "" if done else reason,
        "model": cell.settings.model, "concept": cell.settings.pairs, "condition": cell.condition,
        "seed": cell.settings.seed,
    }  # fmt: skip


def _write(table: pd.DataFrame, path: Path) -> None:
    write_atomically(path, lambda temporary: table.to_parquet(temporary, index=False))
