"""How the page draws each method: as the figures do, with a colour for dark ground beside the one for light."""

import colorsys

from matplotlib.colors import to_hex, to_rgb

from analyses.studies.finished import Study

from ..drawing.saved import saved
from ..drawing.style import method_looks

MARKERS = {
    "o": "circle", "s": "square", "^": "triangle", "v": "inverted_triangle", "D": "diamond", "d": "diamond", "x": "x",
    "X": "star", "P": "plus", "+": "cross", "*": "star", "<": "hex", ">": "asterisk", "h": "hex", "H": "hex",
}  # fmt: skip
"""Bokeh's names for Matplotlib's markers."""


def page_looks(study: Study) -> dict[str, tuple[str, str]]:
    """The colour, as a style sheet writes it, and the marker of each method that the study compares."""
    table = saved(study, "frontier")
    looks = method_looks([] if table is None else table["method"].unique())
    return {
        name: (f"light-dark({to_hex(look.colour)}, {on_dark_ground(look.colour)})", MARKERS.get(look.marker, "circle"))
        for name, look in looks.items()
    }


def on_dark_ground(colour: str) -> str:
    """The same hue, light where it was dark; what is light stays so."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(colour))
    return to_hex(colorsys.hls_to_rgb(hue, max(lightness, 0.92 - 0.6 * lightness), saturation))
