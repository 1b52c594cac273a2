"""Numbers as a page carries and shows them: a few digits, and null where there is no number."""

from collections.abc import Iterable
from typing import Any

import numpy as np


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


def signed(value: float) -> str:
    """Nats, with their sign."""
    return f"{value:+.2f}".replace("-", "−")
