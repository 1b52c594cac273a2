"""Regions: where preference is nearly linear and levels off, where utility is highest, and how much half of its loss is."""

import numpy as np

from mechsteer.measuring.sweeps import Sweep

from .curves import where
from .found import Found, first_seeds, number, steer, table

NAME = "regions"
TITLE = "Regions"
ORDER = 22

ABOUT = (
    "Each method's first training seed. Places are given as ‖shift‖/‖h‖, below and above m = 0. Preference is *nearly "
    "linear* as far as it stays within a tenth of its span of the tangent at zero, and *levels off* from where its slope "
    "stays below a twentieth of the steepest; a dash means that the sweep does not reach that far. *Utility highest at* "
    "has the multiplier's sign. *Half of what is lost* is half of the way from the highest utility to the lowest on each "
    "side (nats); Curves says where it is lost."
)


def write(found: Found) -> str:
    """A row for each cell, method and form, of the first seed."""
    rows = []
    for cell in found.cells:
        for key in first_seeds(cell):
            fits, sweep = cell.study.fits_of(key), cell.study.sweep_of(key)
            preference, utility = (fits[name]["properties"] for name in ("preference", "utility"))
            rows.append(
                cell.place | steer(key) | {
                    "nearly linear up to": where(sweep, preference, "near_linear"),
                    "levels off from": where(sweep, preference, "converges"),
                    "utility highest at": _peak(sweep, (utility.get("peak") or {}).get("estimate")),
                    "utility at m = 0": number(_means(sweep)[sweep.zero]),
                    "half of what is lost": ", ".join(map(number, half_lost(sweep))),
                }
            )  # fmt: skip
    return f"{table(rows)}\n\n{ABOUT}"


def half_lost(sweep: Sweep) -> tuple[float, float]:
    """Nats of utility, below and above m = 0, as `half_lost` of the curve's properties counts them."""
    means = _means(sweep)
    sides = (sweep.multipliers <= 0, sweep.multipliers >= 0)
    low, high = (float(np.max(means) - np.min(means[side])) / 2 for side in sides)
    return low, high


def _means(sweep: Sweep) -> np.ndarray:
    """Over pairs whose utility is defined at every multiplier."""
    defined = np.isfinite(sweep.utility).all(axis=0)
    return sweep.utility[:, defined].mean(axis=1) if defined.any() else np.full(len(sweep.multipliers), np.nan)


def _peak(sweep: Sweep, multiplier: float | None) -> str:
    if multiplier is None or not np.isfinite(multiplier):
        return number(None)
    return f"{np.sign(multiplier) * float(sweep.shift_at(np.array([multiplier]))[0]):.2g}"
