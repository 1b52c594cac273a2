"""What would settle it: preference gained for nothing, and displacement that does no harm.

The paper ties three things together: a shift raises preference, leaves the manifold, and costs utility because it does. One
direction that goes far off the manifold and costs nothing cuts distance from cost; one that raises preference and costs nothing
cuts preference from cost. Both are looked for among the panel's directions, and judged on pairs and answers by which they
were not chosen: that a loss *is* zero is shown by an interval within what counts as nothing, not by failing
to see one. Where one is found the claim is supported, which speaks against the paper's account as a law.
"""

import numpy as np
import pandas as pd
from scipy.stats import t as student

from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome, judge
from mechsteer.store.keys import Key, keys_in

from .result import MIN_PAIRS, Result, undecided

NAME = "settles"
ORDER = 46
NEEDS = "panel"
SCOPE = "model"
TITLES = {
    "harmless displacement": "A shift leads far off the manifold and costs nothing",
    "free preference": "A shift raises preference and costs nothing",
}
FIGURE = "causes"
NOTHING = 0.1
"""Nats of utility lost per pair, either way, that count as none; a fifth of what is useful."""
NO_HARM = {"share": 0.1, "nats per token": 0.1}
"""Of what is written: more invalid answers, or loss per token without the steer, that count as none."""
GAINED = 1.0
"""Least gain of preference (nats) that is worth the name."""
LEVEL = 0.90
"""Of intervals that must lie within bounds on both sides (two one-sided tests at five per cent)."""


def run(table: pd.DataFrame) -> Result:
    """A claim for each candidate that the panel has found."""
    key = keys_in(table)[0]
    return Result(tuple(_judge(key, part, table) for part in TITLES))


def _judge(key: Key, part: str, table: pd.DataFrame) -> Claim:
    unit = "nats of utility lost"
    chosen = table.loc[table[part]]
    n_pairs = int(table.n_pairs.iloc[0])
    if n_pairs < MIN_PAIRS:
        because = f"{n_pairs} pairs are left to judge it by, and {MIN_PAIRS} are needed. Measure more pairs."
        return undecided(NAME, part, key, unit, because)
    if chosen.empty:
        return undecided(NAME, part, key, unit, "No direction of the panel loses as good as nothing.")
    row = chosen.iloc[0]
    lost = _interval(row.confirmed_lost, row.confirmed_lost_error, n_pairs)
    harm = _interval(row.confirmed_harm, row.confirmed_harm_error, int(row.n_answers))
    bound = NO_HARM[str(row.harm_unit)]
    outcomes, gained = [judge(lost, (-NOTHING, NOTHING)), judge(harm, (-np.inf, bound))], ""
    if part == "free preference":
        found = _interval(row.confirmed_gained, row.confirmed_gained_error, n_pairs)
        outcomes.append(judge(found, (GAINED, np.inf)))
        gained = f" It gains {_told(row.confirmed_gained, found, 2)} nats of preference, and {GAINED:g} is asked."
    outcome = (
        Outcome.REFUTED if Outcome.REFUTED in outcomes
        else Outcome.SUPPORTED if set(outcomes) == {Outcome.SUPPORTED} else Outcome.INCONCLUSIVE
    )  # fmt: skip
    because = (
        f"At a relative shift of {row.relative_shift:.2g} a direction of the family {row.family} loses "
        f"{_told(row.confirmed_lost, lost)} nats on pairs by which it was not chosen (within ±{NOTHING:g} is nothing), and "
        f"what is written is worse by {_told(row.confirmed_harm, harm)} {row.harm_unit} (up to {bound:g} is no harm).{gained}"
    )
    return Claim(NAME, part, key, float(row.confirmed_lost), unit, lost, "nothing, within bounds", outcome, because)


def _interval(mean: float, error: float, n: int) -> ConfidenceInterval:
    """Of both one-sided tests; with a zero error, as among answers that are all valid, the rule of three stands in."""
    if error == 0:
        return ConfidenceInterval(float(mean) - 3 / n, float(mean) + 3 / n, LEVEL)
    reach = float(student.isf((1 - LEVEL) / 2, n - 1) * error)
    return ConfidenceInterval(float(mean) - reach, float(mean) + reach, LEVEL)


def _told(estimate: float, interval: ConfidenceInterval, digits: int = 3) -> str:
    return f"{estimate:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"
