"""How far a steer is useful: by log-odds, and by the texts too where a checker or a second utility has seen them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mechsteer.measuring.useful import USEFUL, exceeded, useful_range

from ..claims.valid_range import valid_ends
from ..claims.validity import MARGIN
from .facts import Facts

NATS_PER_TOKEN = 0.1
"""Of a second utility: what `settles` calls no harm."""
CHECKER = "the exact checker"


@dataclass(frozen=True, eq=False)
class Reach:
    """Multipliers below and above zero, up to which a steer is useful."""

    by_log_odds: tuple[float, float]
    by_texts: tuple[float, float] | None
    """Where what is written stays about as good as unsteered; None where no texts were checked."""
    seen_by: str
    """Who has looked at the texts."""
    shares: pd.DataFrame
    """By multiplier, of how many sampled texts (`n`) how large a `share` was valid; no rows without a checker."""
    shifts: tuple[float, float]
    """Relative shifts at the ends."""
    is_open: tuple[bool, bool]
    """Whether the sweep ends before either range does."""

    @property
    def ends(self) -> tuple[float, float]:
        """The nearer of both on each side."""
        low, high = self.by_log_odds
        return (low, high) if self.by_texts is None else (max(low, self.by_texts[0]), min(high, self.by_texts[1]))

    def valid_at(self, multiplier: float) -> float:
        """The share of valid texts there, on a line between those that were looked at; NaN where none were."""
        if self.shares.empty:
            return float("nan")
        return float(np.interp(multiplier, self.shares.multiplier, self.shares.share))

    def __str__(self) -> str:
        low, high = self.ends
        beyond = [" or further" * is_open for is_open in self.is_open]
        words = (
            f"m from {low:.3g}{beyond[0]} to {high:.3g}{beyond[1]} (relative shift {self.shifts[0]:.2g} and "
            f"{self.shifts[1]:.2g}), where at most {USEFUL:g} nats of utility are lost"
        )
        if self.by_texts is None:
            return f"{words}; no texts were checked"
        if self.shares.empty:
            return f"{words}, and at most {NATS_PER_TOKEN:g} nats per token of the {self.seen_by}"
        valid = [f"{self.valid_at(m):.0%}" for m in (low, 0.0, high)]
        return f"{words}; by {self.seen_by} {valid[0]} and {valid[2]} of answers are valid at its ends, {valid[1]} unsteered"


def reach_of(facts: Facts) -> Reach:
    """From the sweep, and from whatever has looked at texts under this steer."""
    m = facts.sweep.multipliers
    promised = useful_range(facts.sweep)
    shares, second = valid_shares(facts), facts.rows("second_utility")
    by_texts, seen_by = None, ""
    if len(shares):
        at, share, n = (shares[name].to_numpy() for name in ("multiplier", "share", "n"))
        below, above = valid_ends(at, share, n, MARGIN, n_resamples=0, seed=0).found[:, 0]
        by_texts, seen_by = (-float(below), float(above)), CHECKER
    elif len(second):
        second = second.sort_values("multiplier")
        curve, limit = second.second_lost.to_numpy()[None], np.array([NATS_PER_TOKEN])
        low, high = (float(exceeded(second.multiplier.to_numpy(), curve, limit, sign)[0]) for sign in (-1, 1))
        by_texts, seen_by = (low, high), str(second.read_from.iloc[0])
    low, high = promised if by_texts is None else (max(promised[0], by_texts[0]), min(promised[1], by_texts[1]))
    shifts = facts.sweep.shift_at(np.array([low, high]))
    return Reach(
        promised,
        by_texts,
        seen_by,
        shares,
        (float(shifts[0]), float(shifts[1])),
        (bool(low <= m[0]), bool(high >= m[-1])),
    )


def valid_shares(facts: Facts) -> pd.DataFrame:
    """Of all sampled answers that the exact checker has seen under this steer, by multiplier: `multiplier`, `share`, `n`."""
    found = [
        rows.filter(["multiplier", "valid", "n_answers"])
        for name in ("claims/validity-checked", "answers")
        if len(rows := facts.rows(name))
    ]
    if not found:
        return pd.DataFrame(columns=["multiplier", "share", "n"])
    # Two tables may hold the same answers: those to the same queries at the same multiplier, drawn by the same seed.
    rows: pd.DataFrame = pd.concat(found)
    rows = rows.drop_duplicates("multiplier").sort_values("multiplier")
    return rows.rename(columns={"valid": "share", "n_answers": "n"}).reset_index(drop=True)
