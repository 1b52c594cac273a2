"""The gallery: every figure with its caption on a page in Markdown, `python -m figures.gallery STUDY ... --out FOLDER`."""

import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure
from PIL import Image

from analyses.studies.finished import Study
from mechsteer.store.atomic import write_atomically

from . import all_figures
from .drawing.captions import caption_of
from .drawing.style import style

DPI, COLOURS = 220, 96
"""Sharp enough for a page, and few colours: all figures together stay below two megabytes."""


SECTION = re.compile(r"^## (?P<name>\w+)\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def write_gallery(studies: Sequence[Study], folder: Path, kept: Sequence[str] = ()) -> Path:
    """README.md in the folder, with a picture for each figure, drawn from the first study that has results for it. Where
    none has, a figure that the folder already holds stays; so do those that are to be `kept`."""
    before = _sections(folder / "README.md")
    parts, lacking = [], []
    for name, member in all_figures().items():
        asked = () if name in kept else studies
        drawn = ((study, figure) for study in asked if (figure := member.module().draw(study)) is not None)
        if (found := next(drawn, None)) is not None:
            study, figure = found
            _write_small(figure, folder / f"{name}.png")
            model, pairs = study.summary["model"]["name"], study.summary["pairs"]["testing"]["name"]
            caption = caption_of(figure, member.doc.splitlines()[0])
            parts.append(f"## {name}\n\n![{name}]({name}.png)\n\n{caption} ({Path(model).stem}, {pairs})\n")
        elif name in before:
            parts.append(before[name])
        else:
            lacking.append(name)
    head = (
        "# Gallery\n\nFigures that studies leave, with their captions. `python -m figures.gallery` wrote this page.\n"
    )
    if lacking:
        head += f"\nThese studies have no results for {', '.join(lacking)}.\n"
    text = "\n".join((head, *parts))
    return write_atomically(folder / "README.md", lambda path: path.write_text(text, encoding="utf-8"))


def _sections(page: Path) -> dict[str, str]:
    """What a page that was written before says of each figure, by the figure's name."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return {found["name"]: f"{found[0].strip()}\n" for found in SECTION.finditer(text)}


def _write_small(figure: Figure, path: Path) -> None:
    buffer = BytesIO()
    with style():
        figure.savefig(buffer, dpi=DPI)
    image = Image.open(buffer).convert("RGB").quantize(COLOURS)
    write_atomically(path, lambda temporary: image.save(temporary, optimize=True))


def main(
    studies: Annotated[list[Path], typer.Argument(help="Finished studies; a figure is of the first that has it.")],
    out: Annotated[Path, typer.Option(help="The folder of the page.")] = Path("docs/gallery"),
    keep: Annotated[list[str] | None, typer.Option(help="A figure that stays as the folder has it.")] = None,
) -> None:
    print(write_gallery([Study.load(study) for study in studies], out, keep or ()))


if __name__ == "__main__":
    typer.run(main)
