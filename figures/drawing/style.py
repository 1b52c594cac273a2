"""How figures look: a colour has one meaning, is told from others by the colour-blind and in grey, and text is text."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure

from mechsteer.families import FORMS
from mechsteer.methods.learning import methods
from mechsteer.registry import Member
from mechsteer.store.atomic import write_atomically

# A colour has one meaning over all figures: a quantity, an outcome, a method or a form (whose files declare them). What has
# none of its own is black, grey, or a shade. Hues are Okabe and Ito's where these suffice.
BLACK, GREY, LIGHT = "#000000", "#767676", "#D0D0D0"


class Look(NamedTuple):
    """A colour never stands alone: in grey, the marker and the line tell series apart."""

    colour: str
    marker: str
    line: str | tuple = "-"


QUANTITIES = {"preference": Look("#0072B2", "o"), "utility": Look("#D55E00", "s", "--")}
OUTCOMES = {"supported": Look("#2A8C3C", "o"), "refuted": Look("#8B0A1A", "X"), "inconclusive": Look("#949494", "D")}
SHADES = LinearSegmentedColormap.from_list("olive", ("#CFC65E", "#6F7A3A", "#2E3300"))
"""From light to dark, in a hue that nothing else has, and never so light that white paper hides it."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))

SPARE = (
    Look("#CC79A7", "v", (0, (3, 1, 1, 1))), Look("#C8A2E8", "P", (0, (1, 1))), Look("#4B6C8B", "X", (0, (5, 2))),
    Look("#F0A58F", "<", (0, (3, 1, 1, 1, 1, 1))), Look("#5C4033", ">", (0, (1, 3))),
)  # fmt: skip
"""For a method or form that declares no style, or that nobody here knows: nothing vanishes for want of a look."""


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
    "savefig.dpi": 300,
    # Of the family of Times, in which these venues set their text; Matplotlib brings it along.
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.labelsize": 8,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
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
    # Long enough for a line's dashes on both sides of its marker.
    "legend.handlelength": 2.6,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.1,
    "figure.constrained_layout.h_pad": 0.04,
    "figure.constrained_layout.w_pad": 0.04,
    # TrueType: text stays text.
    "pdf.fonttype": 42,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw and save inside this block."""
    with matplotlib.rc_context(_SETTINGS):
        yield


def shades(names: Iterable[Any]) -> dict[Any, Look]:
    """Looks of layers, and of whatever has no colour of its own: from dark to light, in an order that grey keeps."""
    found = list(dict.fromkeys(names))
    return {
        name: Look(
            to_hex(SHADES(1 - index / max(len(found) - 1, 1))), MARKERS[index % len(MARKERS)], LINES[index % len(LINES)]
        )
        for index, name in enumerate(found)
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
            # Laid out once. Without any engine, "none" among them, Matplotlib does not draw a second time to lay out.
            figure.set_layout_engine(None)
    return written
