"""Widths that figures are drawn at: a line of text as a venue sets it, or so many millimetres."""

from mechsteer.errors import InputError

VENUES = {"neurips": 5.5, "iclr": 5.5, "icml": 3.25, "acl": 3.03}
"""Inches of a line of text; where a page has two columns, of one of them."""
COLUMN = 3.4
"""Inches where none is asked for: a column of a page with two."""
LEAST, MOST = 76, 400
"""Millimetres: narrower, words do not fit; wider, no page is."""
CHOICES = f"{', '.join(VENUES)}, or millimetres from {LEAST} to {MOST}"


def inches(width: str) -> float:
    """Of a venue's name, or a number of millimetres; "" asks for none."""
    if not width:
        return COLUMN
    if width in VENUES:
        return VENUES[width]
    try:
        millimetres = float(width)
    except ValueError:
        millimetres = 0.0
    if not LEAST <= millimetres <= MOST:
        raise InputError(f"Figures cannot be of the width {width!r}. Choose {CHOICES}.")
    return millimetres / 25.4
