"""What would settle it: preference gained for nothing, and displacement that does no harm.

The paper ties three things together: a shift raises preference, leaves the manifold, and costs utility because it does. One
direction that goes far off the manifold and costs nothing cuts distance from cost; one that raises preference and costs nothing
cuts preference from cost. Both are looked for among the panel's directions, and judged on pairs and answers that did not select
them. That a loss *is* zero is shown by an interval within what counts as nothing, not by failing to see one. A direction that is
found supports the claim, which speaks against the paper's account as a law. Power is measured with the standard errors of the
candidate: its loss, harm and gain are redrawn around those of a direction that costs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import t as student

from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome, judge, judge_all
from mechsteer.store.keys import Key, keys_in

from .power import Power, if_powerful, power
from .result import MIN_PAIRS, Result, undecided

NAME = "settles"
ORDER = 46
THEME = "mechanism"
NEEDS = "panel"
SCOPE = "model"
VERSION = 2
TITLES = {
    "harmless displacement": "Some shift leads far off the manifold at no cost",
    "free preference": "Some shift raises preference at no cost",
}
FIGURE = "causes"
NOTHING = 0.1
"""Nats of utility lost per pair, either way, that count as none; a fifth of what is useful."""
NO_HARM = {"share": 0.1, "nats per token": 0.1}
"""Of what is written: more invalid answers, or loss per token without the steer, that count as none."""
HARM = {"share": "share of invalid answers", "nats per token": "loss per token without the steer (nats)"}
"""What that is called."""
GAINED = 1.0
"""Least gain of preference (nats) that is worth the name."""
CLEAR = 2.0
"""The same of what is planted."""
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
        because = f"{n_pairs} pairs are left to judge it on; {MIN_PAIRS} are needed. Measure more pairs."
        return undecided(NAME, part, key, unit, because)
    if chosen.empty:
        return undecided(NAME, part, key, unit, "Every direction of the panel loses utility, so there is no candidate.")
    row = chosen.iloc[0]
    n_answers, bound = int(row.n_answers), NO_HARM[str(row.harm_unit)]
    asked = {
        "lost": Asked(row.confirmed_lost, row.confirmed_lost_error, n_pairs, (-NOTHING, NOTHING)),
        "harm": Asked(row.confirmed_harm, row.confirmed_harm_error, n_answers, (-np.inf, bound)),
    }
    if part == "free preference":
        allowed = (GAINED, np.inf)
        asked["gained"] = Asked(row.confirmed_gained, row.confirmed_gained_error, n_pairs, allowed, CLEAR)
    outcome = judge_all(item.outcome(item.measured) for item in asked.values())
    change = replace(asked["lost"], measured=-row.confirmed_lost)
    because = (
        f"On pairs that did not select it, a direction of the family '{row.family}' changes utility by {change.told()} nats "
        f"at a relative shift of {row.relative_shift:.2g}; within ±{NOTHING:g} counts as no change. The {HARM[row.harm_unit]} in "
        f"its texts changes by {asked['harm'].told()}; up to {bound:g} counts as no harm."
    )
    if "gained" in asked:
        because += f" It gains {asked['gained'].told(2)} nats of preference; at least {GAINED:g} is required."
    lost = asked["lost"].interval(row.confirmed_lost)
    claim = Claim(NAME, part, key, float(row.confirmed_lost), unit, lost, "nothing, within bounds", outcome, because)
    return if_powerful(_power(asked), claim, at_sight=Outcome.REFUTED)


@dataclass(frozen=True)
class Asked:
    """Something that is asked of a direction, and what was measured of it."""

    measured: float
    error: float
    n: int
    """Of pairs or answers."""
    allowed: tuple[float, float]
    true: float = 0.0
    """What it is where the claim is planted."""

    def interval(self, mean: float) -> ConfidenceInterval:
        """Of both one-sided tests; with a zero error, as among answers that are all valid, the rule of three stands in."""
        reach = 3 / self.n if self.error == 0 else float(student.isf((1 - LEVEL) / 2, self.n - 1) * self.error)
        return ConfidenceInterval(float(mean) - reach, float(mean) + reach, LEVEL)

    def outcome(self, mean: float) -> Outcome:
        return judge(self.interval(mean), self.allowed)

    def told(self, digits: int = 3) -> str:
        found = self.interval(self.measured)
        measured, low, high = (f"{value:z.{digits}f}" for value in (self.measured, found.low, found.high))
        return f"{measured} [{low}, {high}]"


def _power(asked: Mapping[str, Asked]) -> Power:
    def planted(rng: np.random.Generator) -> Outcome:
        return judge_all(item.outcome(item.true + item.error * rng.standard_normal()) for item in asked.values())

    return power("no loss, no harm" + f", {CLEAR:g} nats gained" * ("gained" in asked), planted)
