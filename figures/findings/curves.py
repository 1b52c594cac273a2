"""Curves: how well the paper's equations fit, in sample and held out, and where utility is lost."""

from typing import Any

import numpy as np

from mechsteer.measuring.sweeps import Sweep

from .. import preference_utility
from .found import Found, first_seeds, number, steer, table

NAME = "curves"
TITLE = "Curves"
ORDER = 20

ABOUT = (
    "Each method's first training seed. The paper reports R² of 0.96 to 0.99, in sample. Held-out R² is over blocks of "
    "neighbouring multipliers within the sweep, each predicted from the others; the sweep's ends, where curves must extrapolate, "
    "are left out, so that it may exceed R² in sample. A dash stands for an R² below zero, where a constant predicts better. "
    "Some are no fit, whatever R² is: without a signal, the mean moves no more over the multipliers than pairs disagree; a poor "
    "one does no better than a constant, on multipliers that it has not seen or for its number of parameters (AICc). "
    "Where utility is lost is given as ‖shift‖/‖h‖, below and above m = 0: half a nat counts from m = 0, half of utility from "
    "where it is highest. There, a dash means that the sweep never loses that much, or that utility is already below that level "
    "at m = 0."
)


def write(found: Found) -> str:
    """A row for each cell, method and form, of the first seed; then the curves themselves."""
    rows = []
    for cell in found.cells:
        for key in first_seeds(cell):
            fits, sweep = cell.study.fits_of(key), cell.study.sweep_of(key)
            scores = {name: fits[name]["score"] for name in ("preference", "utility")}
            rows.append(
                cell.place | steer(key)
                | {f"{name}: R²": told(score["r_squared"]) for name, score in scores.items()}
                | {f"{name}: held out": told(score["held_out_r_squared"]) for name, score in scores.items()}
                | {
                    "no fit": no_fit(fits),
                    "half a nat lost at": where(sweep, fits["utility"]["properties"], "half_nat"),
                    "half of utility lost at": where(sweep, fits["utility"]["properties"], "half_lost"),
                }
            )  # fmt: skip
    shown = found.pictures_of(
        preference_utility.NAME, preference_utility, "what was measured, and the paper's curves", found.cells
    )
    return "\n\n".join((table(rows), ABOUT, *shown))


FITTED = ("CONVERGED", "AT_BOUND")


def no_fit(fits: dict[str, Any]) -> str:
    """Which of the curves fit nothing, and why."""
    statuses = {name: fits[name]["status"] for name in ("preference", "utility")}
    return ", ".join(
        f"{name}: {status.lower().replace('_', ' ')}" for name, status in statuses.items() if status not in FITTED
    )


def told(value: float | None) -> str:
    """An R²; a dash where a constant predicts better, or nothing is known."""
    return number(value if value is not None and value >= 0 else None)


def where(sweep: Sweep, properties: dict[str, Any], name: str) -> str:
    """Relative shifts at which it is so, on both sides."""
    ends = [(properties.get(f"{name}_{side}") or {}).get("estimate") for side in ("negative", "positive")]
    shifts = sweep.shift_at(np.array([end or np.nan for end in ends], dtype=float))
    return ", ".join(f"{shift:.2g}" if np.isfinite(shift) else number(None) for shift in shifts)
