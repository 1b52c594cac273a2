"""A steer gains more than chance does at its shifts. This is a gate: a steer that fails it is judged in nothing else.

Two kinds of chance directions are drawn at the same site. Random directions with the activations' covariance are applied at the
steer's relative shifts. DiffMean directions of pairs with shuffled labels keep their own length, so their shifts are smaller. The
steer must gain more than the upper end of either prediction interval at the shifts where it loses 0.1, 0.25 and 0.5 nats of
utility itself. The gate comes before all other tests and is not part of the correction for multiple tests.
"""

import numpy as np
import pandas as pd
from scipy.stats import t as student

from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import keys_in

from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "control"
ORDER = 5
THEME = "chance"
NEEDS = "chance"
GATE = True
TITLES = {"": "The steer gains more than chance does"}
FIGURE = "control"
UNIT = "gain / upper end of what chance gains"
BOUNDS = {"": (1.0,)}
LEVEL = 0.95
"""Of the prediction interval, beyond whose upper end one direction of chance in forty lies."""
STEER, COVARIANCE, SHUFFLED = "steer", "covariance", "shuffled labels"
"""Kinds of rows."""
DRAWN = {
    COVARIANCE: "random directions with the activations' covariance", SHUFFLED: "DiffMean directions of shuffled labels",
}  # fmt: skip
"""What is drawn by chance, in words."""


def run(table: pd.DataFrame) -> Result:
    """One claim, by the shift and the kind of chance at which the steer stands out least."""
    key = keys_in(table)[0]
    n_pairs = table.pair.nunique()
    if n_pairs < MIN_PAIRS:
        return Result((undecided(NAME, "", key, UNIT, too_few(n_pairs)),))
    compared = against(table)
    least = compared.loc[(compared.gained / compared.upper).idxmin()]
    above = compared.gained > compared.upper
    outcome = Outcome.SUPPORTED if above.all() else Outcome.INCONCLUSIVE if above.any() else Outcome.REFUTED
    ratio, half = least.gained / least.upper, 1.96 * least.error / least.upper
    because = (
        f"At a relative shift of {least.relative_shift:.2g}, the mean of those at which either direction loses {least.budget:g} "
        f"nats of utility, the steer gains {least.gained:.3g} nats of preference. There {least.n} {DRAWN[least.kind]} gain "
        f"{least['mean']:.2g} on average, with a {LEVEL:.0%} prediction interval up to {least.upper:.3g}. The steer gains more "
        f"than chance in {above.sum()} of {len(above)} comparisons."
    )
    control = f"{DRAWN[COVARIANCE]}, of equal norm, and {DRAWN[SHUFFLED]}"
    interval = ConfidenceInterval(float(ratio - half), float(ratio + half))
    claim = Claim(NAME, "", key, float(ratio), UNIT, interval, control, outcome, because)
    return Result((claim,), {"chance": compared})


def against(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each kind of chance and shift: what the steer gains, and the interval within which one more direction would."""
    means = (
        table.groupby(["kind", "budget", "relative_shift", "draw"]).gained.agg(["mean", "std", "count"]).reset_index()
    )
    steer = means.loc[means.kind == STEER].set_index("budget")
    rows = []
    for (kind, budget), drawn in means.loc[means.kind != STEER].groupby(["kind", "budget"], sort=False):
        n, mean, own = len(drawn), drawn["mean"].mean(), steer.loc[budget]
        half = student.isf((1 - LEVEL) / 2, n - 1) * drawn["mean"].std() * np.sqrt(1 + 1 / n)
        rows.append(
            {"kind": kind, "budget": budget, "relative_shift": own.relative_shift, "gained": own["mean"],
             "error": own["std"] / np.sqrt(own["count"]), "mean": mean, "lower": mean - half, "upper": mean + half, "n": n}
        )  # fmt: skip
    return pd.DataFrame(rows)
