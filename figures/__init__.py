"""Figures, a file each: `draw(study)` from a study's saved results alone, ready for a paper.

A figure's `numbers(study)` is the table that it draws, in units that the table names; `draw(study, ax=None)` draws just
that, and both give None where the study has no results for it. `ax` is one axes for a figure of one panel, or as many as
it has panels. A figure whose SCOPE is "steer" takes `subject` too, the key of a steer that claims were asked of; by default
the first. A claim's file outside the tree that DRAWS is a figure as well.
"""

from collections.abc import Callable, Iterable, Mapping
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


def write_one(
    member: Member, results: object, subjects: Mapping[str, object], folder: Path, width: str, model: str = ""
) -> list[Path]:
    """A figure of each of these subjects, under its name: PDF and PNG, the caption as text and TeX, the numbers as CSV. `width`
    is a venue's, or millimetres (`analyses/studies/widths.py`); a caption names the `model`, if there is one."""
    from mechsteer.store.atomic import write_atomically

    from .drawing.captions import caption_of, write_caption
    from .drawing.panels import sheets
    from .drawing.style import save

    module, written = member.module(), []
    for stem, subject in subjects.items():
        which = {} if subject is None else {"subject": subject}
        with sheets(width):
            figure = module.draw(results, **which)
        if figure is not None:
            numbers = module.numbers(results, **which)
            written += save(figure, folder / stem)
            written += write_caption(caption_of(figure, member.doc.splitlines()[0], model), folder / stem)
            written.append(
                write_atomically(folder / f"{stem}.csv", lambda path, table=numbers: table.to_csv(path, index=False))
            )
    return written


def draw_one(study: "Study", name: str, folder: Path, width: str | None = None) -> list[Path]:
    """One figure's files, by default of the study's width; of further steers that claims were asked of, as NAME-STEER."""
    member = all_figures()[name]
    further = study.judged[1:] if member.get("SCOPE") == "steer" else ()
    subjects = {name: None} | {f"{name}-{key.slug}": key for key in further}
    model = Path(study.summary["model"]["name"]).name
    written = write_one(member, study, subjects, folder, study.width if width is None else width, model)
    study.wrote(written)
    return written


def draw_all(
    study: "Study", folder: Path, each: Callable[..., Iterable[list[Path]]] = map, width: str | None = None
) -> list[Path]:
    """Every figure that the study has results for: what was written, figure by figure. `each` maps as the built-in does, and may
    use several processes."""
    drawn = each(partial(draw_one, study, folder=folder, width=width), all_figures())
    return [path for paths in drawn for path in paths]
