"""Completions: which of a pair's two makes up the preference that a steer gains, and what utility moves along with it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.intervals import N_RESAMPLES, SeedsEstimate, resampled_with
from mechsteer.store.keys import Key

from .found import Cell, Found, all_seeds, first_seeds, interval, number, steer, table

NAME = "completions"
TITLE = "Which completion moves"
ORDER = 33

ABOUT = (
    "Half of what changes between -m and m, for the smallest m that was swept on both sides: means over training seeds, "
    "with 95 % intervals over pairs and seeds. *Gained* is preference (nats). Of each nat of it, the concept's completion "
    "contributes as much as it becomes likelier, and the other, which makes up the rest to one, as much as it becomes less "
    "likely. A steer that moves both alike has 0.5; below zero the concept's completion too becomes less likely, above one "
    "the other too becomes likelier. *Utility moved with it*, in nats for each nat of preference, rises on one side of the "
    "steer and falls on the other; what falls on both sides is not in it. A dash stands where the gain's interval reaches "
    "zero."
)


def write(found: Found) -> str:
    """A row for each method and form of each cell."""
    return f"{table([_row(cell, key) for cell in found.cells for key in first_seeds(cell)])}\n\n{ABOUT}"


def _row(cell: Cell, key: Key) -> dict[str, str]:
    seeds = all_seeds(cell, key.method, key.form)
    multiplier = smallest(seeds[0].multipliers)
    found = moved(seeds, multiplier) if np.isfinite(multiplier) else None
    gained, by_concept, utility = ("–",) * 3 if found is None else map(told, found)
    if found is not None and found[0].interval().low <= 0:
        by_concept = utility = "–"
    return cell.place | steer(key) | {
        "m": number(multiplier), "gained": gained, "by the concept's completion": by_concept, "utility moved with it": utility,
        "seeds": str(len(seeds)),
    }  # fmt: skip


def told(value: SeedsEstimate) -> str:
    """With its interval."""
    ends = value.interval()
    return interval(value.estimate, ends.low, ends.high)


def smallest(multipliers: Float[ndarray, " m"]) -> float:
    """The smallest that was swept on both sides of zero; NaN where there is none."""
    both = [m for m in multipliers if m > 0 and np.isclose(multipliers, -m).any()]
    return float(min(both, default=np.nan))


def moved(seeds: Sequence[Sweep], multiplier: float) -> tuple[SeedsEstimate, SeedsEstimate, SeedsEstimate] | None:
    """Of the same pairs: the preference gained (nats), and for each nat of it what the concept's completion becomes likelier by,
    and what utility rises by; None where fewer than two pairs have a utility."""
    changes = np.array([_changes(sweep, multiplier) for sweep in seeds])
    # Utility is undefined where both completions are too likely.
    changes = changes[..., np.isfinite(changes).all(axis=(0, 1))]
    n_seeds, n_pairs = len(changes), changes.shape[-1]
    if n_pairs < 2:
        return None
    means = resampled_with(changes.reshape(-1, n_pairs), N_RESAMPLES).reshape(-1, n_seeds, 3)
    by_seed, again = means[0].T, means[1:].mean(axis=1).T

    def per_nat(quantity: int) -> SeedsEstimate:
        # Of means over seeds. What a seed departs from their ratio stands for its own, which has no bounds where it gains little.
        ratio = by_seed[quantity].mean() / by_seed[0].mean()
        apart = (by_seed[quantity] - ratio * by_seed[0]) / by_seed[0].mean()
        return SeedsEstimate.of(ratio + apart, again[quantity] / again[0], n_pairs)

    return SeedsEstimate.of(by_seed[0], again[0], n_pairs), per_nat(1), per_nat(2)


def _changes(sweep: Sweep, multiplier: float) -> Float[ndarray, "3 pairs"]:
    """Half of what preference, the log-likelihood of the concept's completion, and utility change between -m and m."""
    low, high = (int(np.flatnonzero(np.isclose(sweep.multipliers, m))[0]) for m in (-multiplier, multiplier))
    values = (sweep.preference, -sweep.loss_positive, sweep.utility)
    return np.array([(value[high] - value[low]) / 2 for value in values])
