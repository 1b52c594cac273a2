"""Figures, a file each: `draw(study)` from a study's saved results alone, ready for a paper."""

from pathlib import Path

from analyses.study import Study

from . import activation_map, distance, frontier, orthogonality, preference_utility, shift_split, utility_distance
from .style import save

FIGURES = {
    "preference_utility": preference_utility.draw,
    "frontier": frontier.draw,
    "distance": distance.draw,
    "utility_distance": utility_distance.draw,
    "shift_split": shift_split.draw,
    "orthogonality": orthogonality.draw,
    "activation_map": activation_map.draw,
}


def draw_all(study: Study, folder: Path) -> None:
    """Every figure that the study has results for, as PDF and PNG."""
    for name, draw in FIGURES.items():
        if (figure := draw(study)) is not None:
            save(figure, folder / name)
