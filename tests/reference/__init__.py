"""Numbers of two small studies, frozen, and how to compare with them.

Sweeps are as version 0.1.0 computed them (`sentiment.parquet`, `tense.parquet`). All else is as the units in `VERSIONS` compute
it (`units.parquet`): what fits, claims and tables say has been redefined since, on purpose, and must not move unannounced.

A table is told as long rows: which table, which row of it (its words, and how many rows with the same words came before), which
column, and the number there.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mechsteer.store.keys import COLUMNS

HERE = Path(__file__).parent
CONCEPTS: dict[str, dict[str, Any]] = {
    "sentiment": {
        "site": "3:resid_mid", "multipliers": "-12:12:21", "methods": ("DiffMean",), "forms": ("vector",),
        "claims": ("DiffMean-vector",), "panel": 8,
    },
    "tense": {
        "site": "1:mlp.out", "multipliers": "-8:8:7", "methods": ("DiffMean", "Random", "SFT", "SPLIT"),
        "claims": ("SPLIT-lora",), "panel": 0,
    },
}  # fmt: skip
"""What is studied; RePS is left out, whose training amplifies rounding."""
STEPS, N_PAIRS = 6, 48
FEWER = {
    "evidence.chance.N_DIRECTIONS": 4, "evidence.coherence.N_QUERIES": 4, "evidence.coherence.N_NEUTRAL": 4,
    "evidence.coherence.MAX_NEW_TOKENS": 16, "evidence.coverage.N_QUERIES": 24, "units.looks.N_ANSWERS": 4,
}  # fmt: skip
"""Directions by chance, texts and answers: as few as say what they are."""
BY_SITE = ("sites", "side_effects_by_layer")
"""Tables of the choice of a site."""
TABLES = (
    "sweeps", "frontier", "differences", "side_effects", "answers", "prompting", "against_prompting", "pairs_steered",
    "steerability", "second_utility", "evidence/panel", "evidence/one_operation", "evidence/chance", "evidence/coverage",
    "evidence/frozen_norms",
    *BY_SITE,
)  # fmt: skip
LEFT_OUT = {"orthogonality-random", "projection_gain-random", "activation_map-place", "split_wins-frontier"}
"""Random draws and a map: many numbers that say little."""
IDENTITIES = {"layer", "seed", "n_seeds", "resample"}
"""Whole numbers that say which row it is."""


def long(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The tables as long rows."""
    parts = []
    for name, table in tables.items():
        if name.rpartition("/")[2] in LEFT_OUT or table.empty:
            continue
        numbers = [c for c in table.select_dtypes(["number", "bool"]) if c not in IDENTITIES]
        words = [c for c in table if c not in numbers]
        rows = [
            json.dumps({c: _word(v) for c, v in row.items()}, sort_keys=True) for row in table[words].to_dict("records")
        ]
        about = pd.DataFrame({"table": name, "row": rows})
        about["n"] = about.groupby("row").cumcount()
        for column in numbers:
            values = pd.to_numeric(table[column]).astype("float64").to_numpy()
            parts.append(about.assign(column=column, value=values))
    return pd.concat(parts, ignore_index=True)


def departures(found: pd.DataFrame, expected: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Rows whose numbers differ by more than the tolerance, relative where they exceed one, or that only one side has."""
    both = expected.merge(found, on=["table", "row", "n", "column"], how="outer", suffixes=("_expected", "_found"))
    one, other = both.value_expected.to_numpy(), both.value_found.to_numpy()
    with np.errstate(invalid="ignore"):
        equal = np.isclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)
        both["difference"] = np.abs(one - other)
    return both.loc[~equal]


def _word(value):
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return None
    return int(value) if isinstance(value, (int, np.integer, float)) else str(value)


def tables_of(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of a study's folder, by the words and columns of the reference."""
    paths = {Path(name).name: folder / f"{name}.parquet" for name in TABLES}
    found = {name: pd.read_parquet(path) for name, path in paths.items() if path.is_file()}
    found |= {path.stem: pd.read_parquet(path) for path in sorted((folder / "claims").glob("*.parquet"))}
    found["claims"] = _numeric(pd.DataFrame(json.loads((folder / "claims.json").read_text())))
    found["fits"] = _numeric(pd.DataFrame(_fits(json.loads((folder / "fits.json").read_text()))))
    return {name: _plain(table) for name, table in found.items()}


def _fits(rows: list[dict]) -> list[dict]:
    found = []
    for row in rows:
        for quantity in ("preference", "utility"):
            fit, about = row[quantity], row["key"] | {"quantity": quantity, "status": row[quantity]["status"]}
            found += [
                about | {"name": k, "estimate": v} for k, v in fit["score"].items() if isinstance(v, (int, float))
            ]
            for name, item in [*fit["properties"].items(), *((f"{k} of the fit", v) for k, v in fit["fitted"].items())]:
                ends = item["interval"]
                found.append(
                    about | {"name": name, "estimate": item["estimate"], "low": ends["low"], "high": ends["high"]}
                )
    return found


def _numeric(table: pd.DataFrame) -> pd.DataFrame:
    numbers = [name for name in ("estimate", "low", "high") if name in table]
    return table.assign(**{name: pd.to_numeric(table[name]) for name in numbers})


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Without what the reference does not say."""
    unsaid = set(COLUMNS) - {"method", "form", "seed"} | {"hook", "unit", "control", "because", "p_value", "readout"}
    unsaid |= {"raw_p_value", "raw_outcome"}
    unsaid |= {"preference", "utility"} if "loss_positive" in table else set()
    if "relative_shift_mean" in table:
        unsaid |= {"relative_shift", "relative_shift_low", "relative_shift_high"}
    table = table.drop(columns=[name for name in table if name in unsaid])
    table = table.rename(columns={"relative_shift_mean": "relative_shift"})
    return table.assign(seed=pd.array(table.seed, dtype="Int64")) if "seed" in table else table


def same_processor(name: str) -> bool:
    """Whether this is the kind of processor that these numbers were computed on."""
    return processor() == (HERE / f"{name}_processor.txt").read_text(encoding="utf-8").strip()


def processor() -> str:
    """What the processor is, as far as this system tells."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    said = dict(line.split(":", 1) for line in lines[:40] if ":" in line)
    known = {name.strip(): value.strip() for name, value in said.items()}
    return ", ".join(known.get(name, "?") for name in ("model name", "cpu family", "model", "stepping"))


KINDS = {
    "sites": "sites", "sweeps": "sweep", "fits": "fit", "frontier": "frontier", "differences": "frontier",
    "prompting": "prompting", "against_prompting": "frontier", "panel": "panel", "side_effects_by_layer": "side effects by layer",
    "side_effects": "side effects", "answers": "answers", "one_operation": "edited weights", "chance": "chance",
    "pairs_steered": "pairs steered", "steerability": "pairs steered", "second_utility": "second utility",
    "frozen_norms": "frozen norms", "coverage": "coverage",
}  # fmt: skip
"""The unit that makes each table; all others are a claim's, which rest on evidence."""
VERSIONS = {
    "steer": 3, "range": 3, "sites": 4, "sweep": 2, "fit": 2, "frontier": 6, "side effects": 2, "answers": 3, "edited weights": 1,
    "texts": 1, "evidence": 4, "chance": 2, "claim": 9, "trial": 2, "prompting": 1, "side effects by layer": 1, "panel": 3,
    "forecast": 2, "pairs steered": 1, "second utility": 2, "frozen norms": 1, "coverage": 1,
}  # fmt: skip
"""Of each kind of unit, as it stands when its numbers are those that were frozen."""


def versions_now() -> dict[str, int]:
    """Of each kind of unit, as it is in the code."""
    from analyses.units import comparing, evidence, looks, panels, steers, sweeps, tuning, verdicts

    return {
        kind.kind: kind.version
        for room in (steers, sweeps, comparing, tuning, looks, evidence, panels, verdicts)
        for kind in vars(room).values()
        if getattr(kind, "__module__", "") == room.__name__ and isinstance(getattr(kind, "kind", None), str)
    }


def unannounced(differing: pd.DataFrame) -> pd.DataFrame:
    """The departures of units whose version says that nothing has changed."""
    now = versions_now()
    kinds = differing.table.map(lambda table: KINDS.get(table, "claim"))
    changed = {kind for kind, version in VERSIONS.items() if now[kind] != version}
    changed |= {"claim"} if "evidence" in changed else set()
    return differing.loc[~kinds.isin(changed)]
