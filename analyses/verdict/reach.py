"""How far a steer is useful: by log-odds, and by the texts too where a checker, a judge or a second utility has seen them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mechsteer.judges.scale import COHERENCE
from mechsteer.measuring.useful import USEFUL, exceeded, useful_range

from ..claims.judged_text import MARGIN as MARGIN_OF_JUDGES
from ..claims.valid_range import falling_ends, valid_ends
from ..claims.validity import MARGIN
from .facts import Facts

NATS_PER_TOKEN = 0.1
"""Of a second utility: what `settles` calls no harm."""
UTILITY_LOST = f"{USEFUL:g} nats of utility are lost"


@dataclass(frozen=True, eq=False)
class Texts:
    """What was found where somebody looked at texts under a steer."""

    seen_by: str
    """Who has looked."""
    ends: tuple[float, float]
    """Multipliers up to which texts stay about as good as unsteered."""
    fail: str
    """What is found beyond them, as a clause."""
    scores: pd.DataFrame
    """How good they are (`value`, between zero and one) by `multiplier`; no rows of a second utility, which is in nats."""
    words: str = "{}"
    """Around a value that is told."""
    spec: str = ".2f"
    """How a value is written."""

    def tell(self, *multipliers: float) -> str:
        """How good they are there, as a clause."""
        return self.words.format(" and ".join(self.number(m) for m in multipliers))

    def number(self, multiplier: float) -> str:
        return format(self.at(multiplier), self.spec)

    def at(self, multiplier: float) -> float:
        """How good they are there, on a line between the multipliers that were looked at; NaN of a second utility."""
        if self.scores.empty:
            return float("nan")
        return float(np.interp(multiplier, self.scores.multiplier, self.scores.value))


@dataclass(frozen=True, eq=False)
class Reach:
    """Multipliers below and above zero, up to which a steer is useful."""

    by_log_odds: tuple[float, float]
    texts: Texts | None
    """None where no texts were looked at."""
    checked: pd.DataFrame
    """By `multiplier`, of how many sampled answers (`n`) how large a `share` was valid; no rows without an exact checker."""
    shifts: tuple[float, float]
    """Relative shifts at the ends."""
    swept: tuple[float, float]

    @property
    def ends(self) -> tuple[float, float]:
        """The nearer of both on each side."""
        return _nearer(self.by_log_odds, self.texts)

    @property
    def is_open(self) -> tuple[bool, bool]:
        """Whether the sweep ends before the range does."""
        (low, high), (first, last) = self.ends, self.swept
        return low <= first, high >= last

    @property
    def is_short(self) -> tuple[bool, bool]:
        """Whether the sweep ends before half a nat is lost."""
        (low, high), (first, last) = self.by_log_odds, self.swept
        return low <= first, high >= last

    @property
    def ended_by(self) -> tuple[str, str]:
        """What ends it on each side, as a clause; "" where the sweep does."""
        found = []
        for end, by_log_odds, is_open in zip(self.ends, self.by_log_odds, self.is_open, strict=True):
            by_texts = self.texts is not None and end != by_log_odds
            found.append("" if is_open else self.texts.fail if self.texts and by_texts else UTILITY_LOST)
        return found[0], found[1]

    def __str__(self) -> str:
        low, high = self.ends
        beyond = [" or further" * is_open for is_open in self.is_open]
        told = (
            f"m from {low:.3g}{beyond[0]} to {high:.3g}{beyond[1]} (relative shift {self.shifts[0]:.2g} and "
            f"{self.shifts[1]:.2g}){_told_ends(*self.ended_by)}"
        )
        if self.texts is None:
            return f"{told}; no texts were checked"
        if self.texts.scores.empty:
            return told
        return f"{told}; by {self.texts.seen_by} {self.texts.tell(low, high)} at its ends, {self.texts.number(0.0)} unsteered"


def _told_ends(below: str, above: str) -> str:
    if below == above:
        return f", where {below}" if below else ""
    sides = [f"where {why} (m{side}0)" for why, side in ((below, "<"), (above, ">")) if why]
    return f", {', and '.join(sides)}"


def reach_of(facts: Facts) -> Reach:
    """From the sweep, and from whatever has looked at texts under this steer: the exact checker, or else the first judge that
    knows coherence, or else a second utility."""
    m, promised = facts.sweep.multipliers, useful_range(facts.sweep)
    checked = valid_shares(facts)
    texts = _by_checker(checked) or _by_judge(facts) or _by_second_utility(facts)
    below, above = facts.sweep.shift_at(np.array(_nearer(promised, texts)))
    return Reach(promised, texts, checked, (float(below), float(above)), (float(m[0]), float(m[-1])))


def valid_shares(facts: Facts) -> pd.DataFrame:
    """Of all sampled answers that the exact checker has seen under this steer, by multiplier: `multiplier`, `share`, `n`."""
    found = [
        rows.filter(["multiplier", "valid", "n_answers"])
        for name in ("claims/validity-checked", "answers")
        if len(rows := facts.rows(name))
    ]
    if not found:
        return pd.DataFrame(columns=["multiplier", "share", "n"])
    # Two tables may hold the same answers, drawn by the same seed, which then are as many and as good.
    answers: pd.DataFrame = pd.concat(found).drop_duplicates().dropna()
    n_valid = (answers.valid * answers.n_answers).groupby(answers.multiplier).sum()
    n = answers.groupby("multiplier").n_answers.sum()
    return pd.DataFrame({"share": n_valid / n, "n": n}).reset_index()


def _nearer(promised: tuple[float, float], texts: Texts | None) -> tuple[float, float]:
    low, high = promised
    return promised if texts is None else (max(low, texts.ends[0]), min(high, texts.ends[1]))


def _by_checker(checked: pd.DataFrame) -> Texts | None:
    if checked.empty:
        return None
    at, share, n = (checked[name].to_numpy() for name in ("multiplier", "share", "n"))
    below, above = valid_ends(at, share, n, MARGIN, n_resamples=0, seed=0).found[:, 0]
    return Texts(
        "the exact checker", (-float(below), float(above)), f"the share of valid answers has fallen by {100 * MARGIN:.0f} points",
        checked.rename(columns={"share": "value"}), "{} of answers are valid", ".0%",
    )  # fmt: skip


def _by_judge(facts: Facts) -> Texts | None:
    rows = facts.rows("judged")
    rows = rows.loc[rows.role == COHERENCE] if len(rows) else rows
    if rows.empty:
        return None
    judge, aspect = str(rows.judge.iloc[0]), str(rows.aspect.iloc[0])
    rows = rows.loc[(rows.judge == judge) & (rows.aspect == aspect) & rows["mean"].notna()].sort_values("multiplier")
    if not (rows.multiplier == 0).any():
        return None
    at, mean = rows.multiplier.to_numpy(), rows["mean"].to_numpy()
    below, above = falling_ends(at, mean[None], np.ones(len(at)), MARGIN_OF_JUDGES).found[:, 0]
    return Texts(
        f"the judge {judge}", (-float(below), float(above)), f"{aspect} has fallen by {MARGIN_OF_JUDGES:g} of its scale",
        rows.rename(columns={"mean": "value"}), f"{aspect} is {{}}",
    )  # fmt: skip


def _by_second_utility(facts: Facts) -> Texts | None:
    second = facts.rows("second_utility")
    if second.empty:
        return None
    second = second.sort_values("multiplier")
    curve, limit = second.second_lost.to_numpy()[None], np.array([NATS_PER_TOKEN])
    low, high = (float(exceeded(second.multiplier.to_numpy(), curve, limit, sign)[0]) for sign in (-1, 1))
    read_from = str(second.read_from.iloc[0])
    fail = f"{NATS_PER_TOKEN:g} nats per token of the {read_from} are lost"
    return Texts(read_from, (low, high), fail, pd.DataFrame(columns=["multiplier", "value"]))
