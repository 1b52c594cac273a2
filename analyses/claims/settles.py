"""What would settle it: preference gained for nothing, and displacement that does no harm.

The paper ties three things together: a shift raises preference, leaves the manifold, and costs utility because it does. One
direction that goes far off the manifold and costs nothing cuts distance from cost; one that raises preference and costs nothing
cuts preference from cost. Both are looked for among the panel's directions, and judged on pairs and answers that did not select
them. That a loss *is* zero is shown by an interval within what counts as nothing, not by failing to see one. A direction that is
found supports the claim, which speaks against the paper's account as a law. All that is asked must be shown for that, so the
largest p-value counts; one thing that fails refutes, so the least is multiplied by how many are asked. Power is measured with
the standard errors of the candidate: its loss, harm and gain are redrawn around those of a direction that costs nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import t as student

from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import Key, keys_in

from .power import Power, if_powerful, power
from .result import MIN_PAIRS, Result, undecided

NAME = "settles"
ORDER = 46
THEME = "mechanism"
NEEDS = "panel"
SCOPE = "model"
VERSION = 3
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
RATE = 0.05
"""Of false outcomes."""
EQUIVALENCE = 0.9
"""Level of the intervals that lie within bounds where each is shown: two one-sided tests at five per cent. What refutes may come
from either side, so it takes 95 %, and more the more is asked."""


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
    outcome, p = _judged([(item, item.measured) for item in asked.values()])
    change = replace(asked["lost"], measured=-row.confirmed_lost)
    because = (
        f"On pairs that did not select it, a direction of the family '{row.family}' changes utility by {change.told()} nats "
        f"at a relative shift of {row.relative_shift:.2g}; within ±{NOTHING:g} counts as no change. The {HARM[row.harm_unit]} in "
        f"its texts changes by {asked['harm'].told()}; up to {bound:g} counts as no harm. Intervals are of {EQUIVALENCE:.0%}."
    )
    if "gained" in asked:
        because += f" It gains {asked['gained'].told(2)} nats of preference; at least {GAINED:g} is required."
    lost = asked["lost"].interval(row.confirmed_lost)
    claim = Claim(NAME, part, key, float(row.confirmed_lost), unit, lost, "nothing, within bounds", outcome, because, p)
    return if_powerful(_power(asked.values(), part), claim, at_sight=Outcome.REFUTED)


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

    def interval(self, mean: float, level: float = ConfidenceInterval.level) -> ConfidenceInterval:
        """With a zero error, as among answers that are all valid, the rule of three stands in."""
        tail = (1 - level) / 2
        reach = -np.log(tail) / self.n if self.error == 0 else float(student.isf(tail, self.n - 1) * self.error)
        return ConfidenceInterval(float(mean) - reach, float(mean) + reach, level)

    def p_values(self, mean: float) -> tuple[float, float]:
        """Of lying outside what is allowed, one-sided, by which it is shown; and of lying within, by which it is refuted."""
        within = min(mean - self.allowed[0], self.allowed[1] - mean)
        return self._tail(within), min(1.0, 2 * self._tail(-within))

    def _tail(self, distance: float) -> float:
        """How often luck alone takes a mean so far beyond the truth, or further."""
        if self.error == 0:
            return float(np.exp(-self.n * max(distance, 0.0)))
        return float(student.sf(distance / self.error, self.n - 1))

    def told(self, digits: int = 3) -> str:
        found = self.interval(self.measured, EQUIVALENCE)
        measured, low, high = (f"{value:z.{digits}f}" for value in (self.measured, found.low, found.high))
        return f"{measured} [{low}, {high}]"


def _judged(found: Collection[tuple[Asked, float]]) -> tuple[Outcome, float]:
    """Of all that is asked, by what was measured of each; of what is undecided, the p-value that is nearer to deciding it."""
    shown, refuted = np.array([item.p_values(mean) for item, mean in found]).T
    if shown.max() <= RATE:
        return Outcome.SUPPORTED, float(shown.max())
    p = float(min(1.0, len(refuted) * refuted.min()))
    return (Outcome.REFUTED, p) if p <= RATE else (Outcome.INCONCLUSIVE, float(min(p, shown.max())))


def _power(asked: Collection[Asked], part: str) -> Power:
    def planted(rng: np.random.Generator) -> Outcome:
        return _judged([(item, item.true + item.error * rng.standard_normal()) for item in asked])[0]

    return power("no loss, no harm" + f", {CLEAR:g} nats gained" * (part == "free preference"), planted)
