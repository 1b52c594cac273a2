"""Numbers as a page carries and shows them: a few digits, and null where there is no number."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

MOST_DECIMALS = 4
"""Of an estimate and its interval."""


def rounded(values: Iterable[Any], digits: int = 4) -> list[float | int | None]:
    """So many significant digits of each; what is undefined or infinite becomes None."""
    return [_rounded(value, digits) for value in np.asarray(values, dtype=np.float64).tolist()]


def _rounded(value: float, digits: int) -> float | int | None:
    if not np.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() else short


def shown(value: float | None, digits: int = 3) -> str:
    """For reading: thousands keep their digits, small numbers their first ones."""
    if value is None or not np.isfinite(value):
        return "–"
    # 23 nats are 23.1; 2300 are 2300 and not 2.3e+03.
    text = f"{value:.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
    return text.replace("-", "−")


def estimated(value: float | None, low: float | None, high: float | None) -> str:
    """An estimate with its interval, to the second digit of the interval's width: more would be noise."""
    known = [end for end in (low, high) if end is not None and np.isfinite(end)]
    if value is None or not np.isfinite(value):
        return "–"
    width = known[-1] - known[0] if len(known) == 2 else abs(known[0] - value) if known else 0.0
    if not width > 0:
        return shown(value)
    place = 1 - math.floor(math.log10(width))
    if place > MOST_DECIMALS and abs(value) < 10**-MOST_DECIMALS:
        return f"{shown(value, 2)} [{shown(low, 2)}, {shown(high, 2)}]"
    told = [_to_place(end, place) for end in (value, low, high)]
    return f"{told[0]} [{told[1]}, {told[2]}]"


def _to_place(value: float | None, place: int) -> str:
    """Rounded to so many decimals, or to tens and hundreds; an end that is unknown is a dash."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{round(value, place) + 0.0:.{min(max(place, 0), MOST_DECIMALS)}f}".replace("-", "−")


def signed(value: float) -> str:
    """Nats, with their sign."""
    return f"{value:+.2f}".replace("-", "−")
