"""Figures, a file each: `draw(study)` from a study's saved results alone, ready for a paper.

A figure's `numbers(study)` is the table that it draws, in units that the table names; `draw(study, ax=None)` draws just
that, and both give None where the study has no results for it. `ax` is one axes for a figure of one panel, or as many as
it has panels. Figures of one steer take `subject` too, a steer that claims were asked of; by default the first.
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.store.atomic import write_atomically

from . import (
    activation_map,
    claims,
    distance,
    frontier,
    linear_region,
    manifold_exists,
    measurement,
    one_operation,
    orthogonality,
    preference_curve,
    preference_utility,
    projection_gain,
    random_control,
    shift_split,
    sites,
    split_wins,
    transfer,
    utility_curve,
    utility_distance,
    validity,
)
from .drawing.saved import slug, subjects
from .drawing.style import save

OF_THE_STUDY: dict[str, ModuleType] = {
    "claims": claims,
    "preference_utility": preference_utility,
    "frontier": frontier,
    "sites": sites,
    "measurement": measurement,
    "one_operation": one_operation,
    "manifold_exists": manifold_exists,
    "activation_map": activation_map,
    "random_control": random_control,
    "split_wins": split_wins,
}
OF_A_STEER: dict[str, ModuleType] = {
    "preference_curve": preference_curve,
    "utility_curve": utility_curve,
    "linear_region": linear_region,
    "projection_gain": projection_gain,
    "orthogonality": orthogonality,
    "transfer": transfer,
    "validity": validity,
    "distance": distance,
    "utility_distance": utility_distance,
    "shift_split": shift_split,
}
MODULES = OF_THE_STUDY | OF_A_STEER
FIGURES: dict[str, Callable[..., Figure | None]] = {name: module.draw for name, module in MODULES.items()}
OF_CLAIM = {
    "measurement": "measurement",
    "one_operation": "one_operation",
    "manifold_exists": "manifold_exists",
    "off_manifold": "utility_distance",
    "validity": "validity",
    "orthogonality": "orthogonality",
    "projection_gain": "projection_gain",
    "linear_region": "linear_region",
    "preference_curve": "preference_curve",
    "utility_curve": "utility_curve",
    "transfer": "transfer",
    "random_control": "random_control",
    "split_wins": "split_wins",
}
"""By analysis, the figure that shows what decided its claims."""


def draw_one(study: Study, name: str, folder: Path) -> list[Path]:
    """One figure as PDF and PNG, and its numbers as CSV; of further steers that claims were asked of, as NAME-STEER."""
    module, written = MODULES[name], []
    asked = {f"{name}-{slug(subject)}": {"subject": subject} for subject in subjects(study)[1:]}
    for stem, which in {name: {}, **(asked if name in OF_A_STEER else {})}.items():
        if (figure := module.draw(study, **which)) is not None:
            numbers = module.numbers(study, **which)
            written += save(figure, folder / stem)
            written.append(
                write_atomically(folder / f"{stem}.csv", lambda path, table=numbers: table.to_csv(path, index=False))
            )
    return written


def draw_all(study: Study, folder: Path) -> list[Path]:
    """Every figure that the study has results for: what was written, figure by figure."""
    return [path for name in MODULES for path in draw_one(study, name, folder)]
