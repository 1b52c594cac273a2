"""The figures of claims, small enough to be carried: a study's own PNG files at the width of a page."""

import base64
from io import BytesIO
from pathlib import Path

from PIL import Image

from analyses.claims import CLAIMS
from analyses.studies.finished import Study
from mechsteer.store.reading import damaged

WIDTH = 1000
"""Pixels: twice what a figure is wide on the page, for sharp screens and paper."""
COLOURS = 96
"""Lines and letters stay sharp with so few, at a third of the size of true colour."""


def pictures(study: Study) -> dict[str, str]:
    """By file name, the drawn figures of claims, those of further steers (NAME-STEER) too, as images within the page."""
    sums = study.sums
    paths = [
        path
        for name in dict.fromkeys(member.get("FIGURE") for member in CLAIMS.members().values() if member.get("FIGURE"))
        for path in (*sums.paths(f"figures/{name}.png"), *sums.paths(f"figures/{name}-*.png"))
    ]
    return {path.stem: _as_text(path) for path in paths}


def _as_text(path: Path) -> str:
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise damaged(path, f"it is no picture that can be read ({error})") from error
    image.thumbnail((WIDTH, 4 * WIDTH), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    image.quantize(COLOURS).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
