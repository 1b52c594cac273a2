"""How figures look: safe for colour-blind readers, readable in grey, vector text that a paper's editor can search."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from mechsteer.files import write_atomically

# Okabe and Ito's palette, which differs in lightness as well as in hue.
BLUE, VERMILION, GREEN, ORANGE, GREY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#767676"

SINGLE_COLUMN, DOUBLE_COLUMN = 3.4, 7.0
"""Widths in inches."""

_SETTINGS: dict[Any, Any] = {
    "figure.dpi": 150,
    "savefig.dpi": 300,
    "savefig.bbox": "tight",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.4,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    # TrueType: text stays text.
    "pdf.fonttype": 42,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw inside this block."""
    with plt.rc_context(_SETTINGS):
        yield


def save(figure: Figure, path: Path) -> None:
    """Write `path` as PDF and as PNG, and close the figure."""
    # Without the date, the same figure is the same file.
    metadata = {".pdf": {"CreationDate": None}, ".png": {}}
    with style():
        for suffix, entries in metadata.items():
            write_atomically(
                path.with_suffix(suffix), lambda temporary, m=entries: figure.savefig(temporary, metadata=m)
            )
    plt.close(figure)
