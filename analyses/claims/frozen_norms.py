"""Norms may be left out of the account: their denominators hardly change what steering does (arXiv 2602.02343, eqs. 10-17).

Curves with every norm's denominator frozen at m = 0 are compared with the real ones over the useful range. The share is the root
mean square over multipliers of what freezing changes, divided by that of what steering changes, both as means over pairs. The
scatter of pairs inflates the first square, and that part is subtracted. Where the share is small, a shift acts by where it leads.
Where it is large, a shift also acts by shrinking everything else. Power is measured on the study's own pairs, after what freezing
changes of each is shifted to a mean of zero.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.statistics.intervals import percentile_interval, resampled_squares, resampled_with
from mechsteer.statistics.judging import Claim, Outcome, judge, p_value
from mechsteer.store.keys import Key, keys_in

from .power import N_PLANTED_RESAMPLES, if_powerful, power_over_pairs
from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "frozen_norms"
ORDER = 48
THEME = "mechanism"
NEEDS = "frozen_norms"
ACROSS = True
VERSION = 2
TITLES = {
    "preference": "Freezing the norms' denominators hardly changes what steering does to preference",
    "utility": "Freezing the norms' denominators hardly changes what steering does to utility",
}
FIGURE = "frozen_norms"

NEGLIGIBLE = 0.1
"""Largest share of what steering changes that is neglected: at the ends of the useful range a twentieth of a nat of utility."""
BOUNDS = dict.fromkeys(TITLES, (NEGLIGIBLE,))
ALLOWED = (-np.inf, NEGLIGIBLE)
UNIT = "share of what steering changes"
CONTROL = "the same norms as they are"
N_RESAMPLES = 2000
"""Twice as many as for an interval: a share near zero is skewed, so p-values down to 0.01 are counted."""


def run(table: pd.DataFrame) -> Result:
    """Two claims about one steer."""
    key = keys_in(table)[0]
    claims, parts = [], []
    for part in TITLES:
        real, frozen = (
            table.pivot(index="multiplier", columns="pair", values=name) for name in (part, f"{part}_frozen")
        )
        defined = (real.notna() & frozen.notna()).all(axis=0).to_numpy()
        # In the order of the multipliers, as rows of a pivot are.
        shares = table.drop_duplicates("multiplier").sort_values("multiplier").share.to_numpy()
        as_they_are, as_frozen = real.to_numpy()[:, defined], frozen.to_numpy()[:, defined]
        useful = np.abs(shares) <= 1
        claims.append(_judge(key, part, as_they_are[useful], as_frozen[useful], shares[useful]))
        if defined.any():
            parts.append(_means(as_they_are, as_frozen).assign(quantity=part, multiplier=real.index, share=shares))
    return Result(tuple(claims), {"curve": pd.concat(parts, ignore_index=True)} if parts else {})


def _judge(
    key: Key,
    part: str,
    real: Float[ndarray, "m pairs"],
    frozen: Float[ndarray, "m pairs"],
    shares: Float[ndarray, " m"],
) -> Claim:
    if (n_pairs := real.shape[1]) < MIN_PAIRS:
        return undecided(NAME, part, key, UNIT, too_few(n_pairs), CONTROL)
    changes = np.stack([frozen - real, real - real[shares == 0]])
    share = _share(changes, N_RESAMPLES)
    interval, outcome = percentile_interval(share[1:]), _judged(share)
    because = (
        f"With every norm's denominator frozen at its unsteered value, {part} differs by {share[0]:.2g} times what steering "
        f"changes over the useful range by log-odds; up to {NEGLIGIBLE:g} is negligible."
    )
    p = p_value(share[1:], ALLOWED, outcome)
    claim = Claim(NAME, part, key, float(share[0]), UNIT, interval, CONTROL, outcome, because, p)
    changes[0] -= changes[0].mean(axis=1, keepdims=True)
    found = power_over_pairs(
        "freezing changes nothing on average", lambda drawn, seed: _judged(_share(drawn, N_PLANTED_RESAMPLES, seed)), changes
    )  # fmt: skip
    return if_powerful(found, claim, at_sight=Outcome.REFUTED)


def _share(changes: Float[ndarray, "2 m pairs"], n_resamples: int, seed: int = 0) -> Float[ndarray, " draws"]:
    """Of all pairs, then of pairs drawn again, the same of both."""
    freezing = resampled_squares(changes[0], n_resamples, seed)
    # What steering changes is far from nothing, so that scatter adds little to it.
    steering = np.square(resampled_with(changes[1], n_resamples, seed)).sum(axis=1)
    return np.sqrt(np.maximum(freezing, 0) / np.maximum(steering, np.finfo(float).tiny))


def _judged(share: Float[ndarray, " draws"]) -> Outcome:
    return judge(percentile_interval(share[1:]), ALLOWED)


def _means(real: Float[ndarray, "m pairs"], frozen: Float[ndarray, "m pairs"]) -> pd.DataFrame:
    """Over pairs, with the interval of what freezing changes."""
    intervals = [percentile_interval(draws) for draws in resampled_with(frozen - real, N_RESAMPLES)[1:].T]
    columns = {"real": real.mean(axis=1), "frozen": frozen.mean(axis=1)}
    ends = {"change_low": [item.low for item in intervals], "change_high": [item.high for item in intervals]}
    return pd.DataFrame(columns | ends)
