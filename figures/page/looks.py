"""How the page draws what has a colour: as the figures do, with a colour for dark ground beside the one for light."""

import colorsys
from collections.abc import Iterable
from typing import Any

from matplotlib.colors import to_hex, to_rgb

from analyses.studies.finished import Study

from ..drawing.saved import saved
from ..drawing.style import OUTCOMES, QUANTITIES, SHADES, Look, method_looks, shades

MARKERS = {
    "o": "circle", "s": "square", "^": "triangle", "v": "inverted_triangle", "D": "diamond", "d": "diamond", "x": "x",
    "X": "star", "P": "plus", "+": "cross", "*": "star", "<": "hex", ">": "asterisk", "h": "hex", "H": "hex",
}  # fmt: skip
"""Bokeh's names for Matplotlib's markers."""
STEPS = 32
"""Of a scale of shades, for numbers."""
DARKEST = 0.5
"""Of the scale, that stands out from dark ground."""


def palette() -> str:
    """Quantities and outcomes as variables of a style sheet, each by its own name."""
    colours = {name: _on_both_grounds(look.colour) for name, look in (QUANTITIES | OUTCOMES).items()}
    return ":root {" + " ".join(f"--{name}: {colour};" for name, colour in colours.items()) + "}\n"


def page_looks(study: Study) -> dict[str, Any]:
    """The methods that the study compares, the layers at which it measures distance, its other concepts, and the figures' scale
    from little to much."""
    names = {
        what: list(dict.fromkeys(value for name in tables for value in _column(study, name, column)))
        for what, tables, column in (
            ("methods", ["frontier"], "method"),
            ("layers", ["claims/off_manifold-distance", "distance"], "layer"),
            ("concepts", ["side_effects"], "measured_on"),
        )
    }
    return {
        "methods": _on_page(method_looks(names["methods"])),
        "layers": page_shades(sorted(names["layers"])),
        "concepts": page_shades(names["concepts"]),
        "scale": [_shade(step / (STEPS - 1)) for step in range(STEPS)],
    }


def _column(study: Study, name: str, column: str) -> Iterable[Any]:
    """What stands in a column of a table; nothing where the study has no such table."""
    table = saved(study, name)
    return () if table is None else table[column].unique()


def page_shades(names: Iterable[Any]) -> dict[str, tuple[str, str]]:
    """Of what has no colour of its own."""
    return _on_page(shades(names))


def _on_page(looks: dict[Any, Look]) -> dict[str, tuple[str, str]]:
    """The colour, as a style sheet writes it, and the marker of each."""
    return {
        str(name): (_on_both_grounds(look.colour), MARKERS.get(look.marker, "circle")) for name, look in looks.items()
    }


def _shade(share: float) -> str:
    """Of the figures' scale; on dark ground what is much is light, and nothing is so dark that the ground hides it."""
    return f"light-dark({to_hex(SHADES(share))}, {to_hex(SHADES(DARKEST * (1 - share)))})"


def _on_both_grounds(colour: str) -> str:
    return f"light-dark({to_hex(colour)}, {on_dark_ground(colour)})"


def on_dark_ground(colour: str) -> str:
    """The same hue, light where it was dark; what is light stays so."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(colour))
    return to_hex(colorsys.hls_to_rgb(hue, max(lightness, 0.92 - 0.6 * lightness), saturation))
