"""How figures look: safe for colour-blind readers, readable in grey, at the width of one column, in text that can be searched."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap, to_hex
from matplotlib.figure import Figure

from mechsteer.families import FORMS
from mechsteer.methods.learning import methods
from mechsteer.registry import Member
from mechsteer.store.atomic import write_atomically

# Okabe and Ito's palette, which differs in lightness as well as in hue.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
BLACK, GREY, LIGHT = "#000000", "#767676", "#D0D0D0"

COLUMN = 3.4
"""The width of every figure, in inches: a column of a paper with two."""


class Look(NamedTuple):
    """A colour never stands alone: in grey, the marker and the line tell series apart."""

    colour: str
    marker: str
    line: str | tuple = "-"


QUANTITIES = {"preference": Look(BLUE, "o"), "utility": Look(VERMILION, "s", "--")}
OUTCOMES = {"supported": Look(BLUE, "o"), "refuted": Look(VERMILION, "X"), "inconclusive": Look(GREY, "D")}
SHADES = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.9, 0, 256)))
"""From light to dark, and never so light that white paper hides it."""
LAYERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")

SPARE = (
    Look("#56B4E9", "v", (0, (3, 1, 1, 1))), Look("#CC79A7", "P", (0, (1, 1))), Look("#8C6D31", "X", (0, (5, 2))),
    Look("#5B4EA1", "<", (0, (3, 1, 1, 1, 1, 1))), Look("#2F6B4F", ">", (0, (1, 3))),
)  # fmt: skip
"""For a method or form that declares no style, or that nobody here knows: nothing vanishes for want of a look."""


def form_title(name: str) -> str:
    """How a form is written."""
    return FORMS[name].title if name in FORMS.members() else name.replace("_", " ")


def form_order(name: str) -> int:
    """The place of a form among the others."""
    known = list(FORMS.members())
    return known.index(name) if name in known else len(known)


def method_looks(names: Iterable[str]) -> dict[str, Look]:
    """How these methods are drawn, as their files say, in the order of their family; those that it does not know at the end."""
    return _looks(methods(), names)


def form_looks(names: Iterable[str]) -> dict[str, Look]:
    """The same of forms."""
    return _looks(FORMS.members(), names)


def _looks(family: Mapping[str, Member], names: Iterable[str]) -> dict[str, Look]:
    found = dict.fromkeys(names)
    ordered = [*(name for name in family if name in found), *(name for name in found if name not in family)]
    looks, n_spare = {}, 0
    for name in ordered:
        declared = family[name].get("STYLE") if name in family else None
        looks[name] = _spare(n_spare) if declared is None else Look(**declared)
        n_spare += declared is None
    return looks


def _spare(number: int) -> Look:
    """Each time that all are taken, colours, markers and lines are put together anew."""
    n, turn = len(SPARE), number // len(SPARE)
    colour, marker, line = (SPARE[(number + step * turn) % n] for step in range(3))
    return Look(colour.colour, marker.marker, line.line)


_SETTINGS: dict[Any, Any] = {
    "figure.dpi": 150,
    "savefig.dpi": 400,
    "font.size": 7,
    "figure.titlesize": 6.5,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "legend.fontsize": 6.2,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.4,
    "lines.linewidth": 1.1,
    "lines.markersize": 3,
    "legend.frameon": False,
    "legend.handlelength": 1.9,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.1,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    # TrueType: text stays text.
    "pdf.fonttype": 42,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw and save inside this block."""
    with matplotlib.rc_context(_SETTINGS):
        yield


def layer_looks(layers: Iterable[int]) -> dict[int, Look]:
    """From dark at the first layer to light at the last, in an order that grey keeps."""
    ordered = sorted(set(layers))
    return {
        layer: Look(to_hex(SHADES(1 - index / max(len(ordered) - 1, 1))), LAYERS[index % len(LAYERS)])
        for index, layer in enumerate(ordered)
    }


def save(figure: Figure, path: Path) -> list[Path]:
    """Write PDF and PNG beside each other; `path` has no suffix."""
    # Without the date, the same figure is the same file.
    metadata = {".pdf": {"CreationDate": None}, ".png": {}}
    written = []
    with style():
        for suffix, entries in metadata.items():
            written.append(
                write_atomically(
                    path.with_suffix(suffix), lambda temporary, m=entries: figure.savefig(temporary, metadata=m)
                )
            )
            # Laid out once: it takes a sixth of all drawing.
            figure.set_layout_engine("none")
    return written
