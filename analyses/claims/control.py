"""A steer gains more than chance does at its shifts. This is a gate: a steer that fails it is judged in nothing else.

Two kinds of chance directions are drawn at the same site. Random directions with the activations' covariance are applied at the
steer's relative shifts. DiffMean directions of pairs with shuffled labels keep their length relative to that of the true labels,
so their shifts are smaller. The steer must gain more than the upper end of what either kind gains, where it loses 0.1, 0.25 and
0.5 nats of utility itself: in all six comparisons the whole interval of the ratio lies above one. The gate comes before all other
tests and is not part of the correction for multiple tests.

The estimate divides by the upper end of the prediction interval, which errs on the side of chance. The interval is of the ratio
to the true upper end, beyond which one direction in forty lies. That end is known from few directions and the same pairs, so both
are drawn again together: pairs by resampling, directions as normal, like the prediction interval. Resampled, 24 directions would
pass a steer at a ratio of one in 8 % of studies, where 2.5 % are meant.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import norm
from scipy.stats import t as student

from mechsteer.statistics.intervals import N_RESAMPLES, ConfidenceInterval, percentile_interval, resampled_with
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import keys_in

from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "control"
ORDER = 5
THEME = "chance"
NEEDS = "chance"
VERSION = 2
GATE = True
TITLES = {"": "The steer gains more than chance does"}
FIGURE = "control"
UNIT = "gain / upper end of what chance gains"
BOUNDS = {"": (1.0,)}
LEVEL = 0.95
"""Of the prediction interval, beyond whose upper end one direction of chance in forty lies."""
N_AGAIN = 10 * N_RESAMPLES
"""Resamples of chance and pairs: each costs next to nothing, and one end of the interval decides."""
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
    above, below = compared.low > 1, compared.high < 1
    outcome = Outcome.SUPPORTED if above.all() else Outcome.REFUTED if below.all() else Outcome.INCONCLUSIVE
    because = (
        f"At a relative shift of {least.relative_shift:.2g}, the mean of those at which either direction loses {least.budget:g} "
        f"nats of utility, the steer gains {least.gained:.3g} nats of preference. {least.n} {DRAWN[least.kind]}, {_at(least)}, "
        f"gain {least['mean']:.2g} on average, with a {LEVEL:.0%} prediction interval up to {least.upper:.3g}. In "
        f"{above.sum()} of {len(above)} comparisons the ratio's {LEVEL:.0%} interval lies above one, and in "
        f"{below.sum() or 'none'} below."
    )
    control = f"{DRAWN[COVARIANCE]}, of equal norm, and {DRAWN[SHUFFLED]}, of their own length"
    interval = ConfidenceInterval(float(least.low), float(least.high))
    claim = Claim(NAME, "", key, float(least.gained / least.upper), UNIT, interval, control, outcome, because)
    return Result((claim,), {"chance": compared})


def _at(compared: pd.Series) -> str:
    """How far chance was shifted, in words."""
    if compared.kind == COVARIANCE:
        return "at the same shift"
    told = np.isfinite(compared.chance_shift)
    return "at their own length" + f" (a median shift of {compared.chance_shift:.2g})" * bool(told)


def against(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each kind of chance and shift: what the steer gains, the interval within which one more direction would, and that
    of the ratio between the steer's gain and the true upper end (`low`, `high`).

    `relative_shift` is the steer's, `chance_shift` the median of chance's; NaN in old tables, which have the steer's instead.
    """
    steer, others = table.loc[table.kind == STEER], table.loc[table.kind != STEER]
    rows = []
    for kind, budget in others[["kind", "budget"]].drop_duplicates().itertuples(index=False):
        own, part = steer.loc[steer.budget == budget], others.loc[(others.kind == kind) & (others.budget == budget)]
        shift, shifts = own.relative_shift.iloc[0], part.groupby("draw").relative_shift.first()
        gained, drawn = (some.pivot_table("gained", "draw", "pair").to_numpy() for some in (own, part))
        means, n = drawn.mean(axis=1), len(drawn)
        half = student.isf((1 - LEVEL) / 2, n - 1) * means.std(ddof=1) * np.sqrt(1 + 1 / n)
        ratio = percentile_interval(_ratios(gained, drawn), LEVEL)
        rows.append(
            {"kind": kind, "budget": budget, "relative_shift": shift,
             "chance_shift": np.nan if kind == SHUFFLED and (shifts == shift).all() else shifts.median(),
             "gained": gained.mean(), "error": gained.std(ddof=1) / np.sqrt(gained.size), "mean": means.mean(),
             "lower": means.mean() - half, "upper": means.mean() + half, "n": n, "low": ratio.low, "high": ratio.high}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _ratios(gained: Float[ndarray, "1 pairs"], drawn: Float[ndarray, "n pairs"]) -> Float[ndarray, " resamples"]:
    """What the steer gains over the end beyond which one direction in forty lies, both with the same pairs drawn again.

    Given n normal directions, (n-1)s²/σ² is χ² of n-1 degrees, and the mean is off by σ/√n.
    """
    again = resampled_with(np.concatenate([gained, drawn]), N_AGAIN)[1:]
    own, chance, n, rng = again[:, 0], again[:, 1:], len(drawn), np.random.default_rng(3)
    spread = chance.std(axis=1, ddof=1) * np.sqrt((n - 1) / rng.chisquare(n - 1, len(again)))
    mean = chance.mean(axis=1) + spread / np.sqrt(n) * rng.standard_normal(len(again))
    upper = mean + norm.isf((1 - LEVEL) / 2) * spread
    with np.errstate(divide="ignore", invalid="ignore"):
        # Where chance gains nothing, or less, any gain is infinitely more.
        return np.where(upper > 0, own / upper, np.inf * np.sign(own - upper))
