"""Norms may be left out of the account: their denominators hardly change what steering does (arXiv 2602.02343, eqs. 10-17).

Curves with every norm's denominator frozen at m = 0 are set against the real ones, over the useful range. By how much
they differ, as a share of what steering changes there, is the root mean square over multipliers of the one beside that of
the other, in means over pairs. Where it is small, a shift acts by where it leads; where it is not, by how much smaller it
makes all else, too.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.statistics.intervals import percentile_interval, resampled_with
from mechsteer.statistics.judging import Claim, judge, p_value
from mechsteer.store.keys import Key, keys_in

from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "frozen_norms"
ORDER = 48
NEEDS = "frozen_norms"
ACROSS = True
TITLES = {
    "preference": "Norms' denominators hardly change what steering does to preference",
    "utility": "Norms' denominators hardly change what steering does to utility",
}
FIGURE = "frozen_norms"

NEGLIGIBLE = 0.1
"""Largest share of what steering changes that is neglected: at the ends of the useful range a twentieth of a nat of utility."""
UNIT = "share of what steering changes"
CONTROL = "the same norms as they are"
N_RESAMPLES = 2000


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
    # The same pairs are drawn again of both.
    both = (frozen - real, real - real[shares == 0])
    sizes = [np.sqrt(np.square(resampled_with(values, N_RESAMPLES)).sum(axis=1)) for values in both]
    share = sizes[0] / np.maximum(sizes[1], np.finfo(float).tiny)
    allowed, interval = (-np.inf, NEGLIGIBLE), percentile_interval(share[1:])
    outcome = judge(interval, allowed)
    because = (
        f"Where every norm divides by what it divides by unsteered, {part} differs by {share[0]:.2g} of what steering changes "
        f"in the useful range; up to {NEGLIGIBLE:g} is negligible."
    )
    p = p_value(share[1:], allowed, outcome)
    return Claim(NAME, part, key, float(share[0]), UNIT, interval, CONTROL, outcome, because, p)


def _means(real: Float[ndarray, "m pairs"], frozen: Float[ndarray, "m pairs"]) -> pd.DataFrame:
    """Over pairs, with the interval of what freezing changes."""
    intervals = [percentile_interval(draws) for draws in resampled_with(frozen - real, N_RESAMPLES)[1:].T]
    columns = {"real": real.mean(axis=1), "frozen": frozen.mean(axis=1)}
    ends = {"change_low": [item.low for item in intervals], "change_high": [item.high for item in intervals]}
    return pd.DataFrame(columns | ends)
