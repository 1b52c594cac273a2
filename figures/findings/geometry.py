"""Geometry: where activations lie and how a steer leaves them, a figure for each model and question."""

from types import ModuleType

from .. import activation_map, distance, manifold_exists, shift_split
from .found import Found

NAME = "geometry"
TITLE = "The geometry of activations"
ORDER = 70

FIGURES: dict[ModuleType, str] = {
    manifold_exists: "spectrum and dimension over scale, by layer",
    activation_map: "a map of activations with the steered path",
    distance: "distance from the manifold against m",
    shift_split: "the shift along and across the manifold, by layer",
}


def write(found: Found) -> str:
    """Of each model's first judged cell of each set of pairs under the plan's usual settings."""
    shown = []
    for cell in found.cells:
        if cell.condition:
            continue
        for module, says in FIGURES.items():
            name = f"{cell.name}-{module.NAME}"
            shown.append(found.picture(module.draw(cell.study), name, f"{cell.model}, {cell.concept}: {says}"))
    return "\n\n".join(filter(None, shown)) or "No finished study holds what these figures show."
