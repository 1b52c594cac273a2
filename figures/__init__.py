"""Figures, a file each: `draw(study)` from a study's saved results alone, ready for a paper."""

from pathlib import Path

from analyses.study import Study

from . import frontier, preference_utility
from .style import save

FIGURES = {"preference_utility": preference_utility.draw, "frontier": frontier.draw}


def draw_all(study: Study, folder: Path) -> None:
    """Every figure that the study has results for, as PDF and PNG."""
    for name, draw in FIGURES.items():
        if (figure := draw(study)) is not None:
            save(figure, folder / name)
