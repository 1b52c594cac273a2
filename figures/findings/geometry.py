"""Geometry: where activations lie and how a steer leaves them, a figure for each model and question."""

from types import ModuleType

import pandas as pd

from analyses.evidence.directions import LEADING
from analyses.evidence.layers import AS_IS, UNIT
from analyses.studies.layers import layers_of

from .. import activation_map, distance, manifold_exists, shift_split
from . import by_layer
from .found import Cell, Found, interval, number, table

NAME = "geometry"
TITLE = "The geometry of activations"
ORDER = 70

FIGURES: dict[str, tuple[ModuleType, str]] = {
    "manifold_exists": (manifold_exists, "how near unseen activations lie, and their dimension over scale"),
    "activation_map": (activation_map, "a map of activations with the steered path"),
    "distance": (distance, "distance from the manifold against m, by layer"),
    "shift_split": (shift_split, "the shift along and across the manifold, by layer"),
    "by_layer": (by_layer, "spectrum and dimension by layer, and how the shift is carried off the leading components"),
}
ABOUT = (
    f"The share of the shift's squared length that lies off the components with {LEADING:.0%} of the variance, at the smallest "
    "multiplier read: at the layer where it enters, and at the later layer where it is largest, with 95 % intervals over pairs. "
    "*By chance* is what a direction by chance has off them there. A shift that enters within the components and later lies off "
    "them was carried off by what reads it."
)


def write(found: Found) -> str:
    """Of each cell a row on how the shift is carried off, and of those under the plan's usual settings the figures."""
    shown, rows = [], []
    for cell in found.cells:
        rows += _rows(cell)
        for name, (module, says) in FIGURES.items():
            shown += found.pictures_of(name, module, says, [cell])
    told = [table(rows), ABOUT] if rows else []
    return "\n\n".join([*shown, *told]) or "No finished study holds what these figures show."


def _rows(cell: Cell) -> list[dict[str, str]]:
    tables = layers_of(cell.study)
    if not tables:
        return []
    shift = tables["layers-shift"]
    rows = []
    for view in (AS_IS, UNIT):
        of = shift.loc[(shift["view"] == view) & (shift.multiplier == min(shift.multiplier, key=abs))]
        enters, later = of.loc[of.enters], of.loc[~of.enters]
        row = cell.place | {"activations": view} | _told(enters, "where it enters")
        if len(later):
            row |= _told(later.loc[[later.off.idxmax()]], "at its largest")
        rows.append(row)
    return rows


def _told(at: pd.DataFrame, where: str) -> dict[str, str]:
    one = at.iloc[0]
    return {
        where: f"{interval(one.off, one.low, one.high)} (layer {one.layer})",
        f"by chance {where}": number(1 - one.n_leading / one.d_model),
    }
