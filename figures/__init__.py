"""Figures, a file each: `draw(study)` from a study's saved results alone, ready for a paper.

A figure's `numbers(study)` is the table that it draws, in units that the table names; `draw(study, ax=None)` draws just
that, and both give None where the study has no results for it. `ax` is one axes for a figure of one panel, or as many as
it has panels. A figure whose SCOPE is "steer" takes `subject` too, the key of a steer that claims were asked of; by default
the first. A claim's file outside the tree that DRAWS is a figure as well.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from analyses.claims import CLAIMS
from mechsteer.registry import Family, Member

if TYPE_CHECKING:
    from analyses.studies.finished import Study

FIGURES = Family("figure", Path(__file__).parent, "figures")


def all_figures() -> dict[str, Member]:
    """Every figure by its name, in order."""
    own = {name: member for name, member in CLAIMS.members().items() if member.get("DRAWS")}
    return FIGURES.members() | own


def draw_one(study: "Study", name: str, folder: Path) -> list[Path]:
    """One figure as PDF and PNG, and its numbers as CSV; of further steers that claims were asked of, as NAME-STEER."""
    from mechsteer.store.atomic import write_atomically

    from .drawing.style import save

    member, written = all_figures()[name], []
    module = member.module()
    asked = {f"{name}-{key.slug}": {"subject": key} for key in study.judged[1:]}
    for stem, which in {name: {}, **(asked if member.get("SCOPE") == "steer" else {})}.items():
        if (figure := module.draw(study, **which)) is not None:
            numbers = module.numbers(study, **which)
            written += save(figure, folder / stem)
            written.append(
                write_atomically(folder / f"{stem}.csv", lambda path, table=numbers: table.to_csv(path, index=False))
            )
    study.wrote(written)
    return written


def draw_all(study: "Study", folder: Path, each: Callable[..., Iterable[list[Path]]] = map) -> list[Path]:
    """Every figure that the study has results for: what was written, figure by figure. `each` maps as the built-in does, and may
    use several processes."""
    drawn = each(partial(draw_one, study, folder=folder), all_figures())
    return [path for paths in drawn for path in paths]
