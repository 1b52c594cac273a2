"""Formats: whether a steer's curves in one prompt format predict those in another."""

from itertools import combinations

import numpy as np

from mechsteer.curves.reading import read_curve
from mechsteer.statistics.intervals import r_squared
from mechsteer.store.keys import Key

from .curves import told
from .found import Cell, Found, first_seeds, steer, table

NAME = "formats"
TITLE = "Between prompt formats"
ORDER = 61

ABOUT = (
    "R² of one format's fitted curve on the other's means, at the multipliers that both have: as it is, and in shape, given the "
    "other's own baseline and scale. Each format has its own steer, learned in it. A dash stands for an R² below zero."
)


def write(found: Found) -> str:
    """A row for each method and form of two cells that differ in the prompt format alone, both ways."""
    rows = [row for pair in between(found.cells) for row in _carried(*pair)]
    return f"{table(rows)}\n\n{ABOUT}" if rows else "No two finished cells differ in the prompt format alone."


def between(cells: tuple[Cell, ...]) -> list[tuple[Cell, Cell]]:
    """Cells whose studies were asked for the same but for the prompt format."""

    def asked(cell: Cell) -> dict:
        return {name: value for name, value in cell.study.summary.get("settings", {}).items() if name != "format"}

    formats = {cell.name: cell.study.summary.get("settings", {}).get("format") for cell in cells}
    return [
        (one, other) for one, other in combinations(cells, 2)
        if formats[one.name] != formats[other.name] and asked(one) == asked(other)
    ]  # fmt: skip


def _carried(one: Cell, other: Cell) -> list[dict[str, str]]:
    """Both ways, for each method and form that both have."""
    rows = []
    for source, target in ((one, other), (other, one)):
        targets = {(key.method, key.form): key for key in first_seeds(target)}
        for key in first_seeds(source):
            if (to := targets.get((key.method, key.form))) is None:
                continue
            row = {"model": source.model, "pairs": source.concept} | steer(key)
            row |= {"from": _format(source), "to": _format(target)}
            for quantity in ("preference", "utility"):
                as_is, shape = scores(source, key, target, to, quantity)
                row |= {f"{quantity}: R²": told(as_is), f"{quantity}: in shape": told(shape)}
            rows.append(row)
    return rows


def scores(source: Cell, key: Key, target: Cell, to: Key, quantity: str) -> tuple[float, float]:
    """R² of the source's curve on the target's means, as it is and in shape; NaN without a fit or with too little shared."""
    fit, sweep = source.study.fits_of(key)[quantity], target.study.sweep_of(to)
    own = source.study.sweep_of(key).multipliers
    values = getattr(sweep, quantity)
    means = values[:, np.isfinite(values).all(axis=0)].mean(axis=1) if len(values) else values
    shared = np.isclose(sweep.multipliers[:, None], own).any(axis=1) & np.isfinite(means)
    if not fit["ok"] or shared.sum() < 4:
        return float("nan"), float("nan")
    predicted = read_curve(fit)(sweep.multipliers[shared])
    scale, baseline = np.polyfit(predicted, means[shared], 1)
    return r_squared(means[shared], predicted), r_squared(means[shared], baseline + scale * predicted)


def _format(cell: Cell) -> str:
    return str(cell.study.summary["settings"]["format"])
