"""Claims: a statement about a model, its estimate with an interval, and whether the evidence bears it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from ..store.keys import Key
from .intervals import ConfidenceInterval


class Outcome(Enum):
    """What the evidence says of a claim."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"


CLAIM = {
    **dict.fromkeys(("claim", "part", "against", "unit", "control", "outcome", "because"), str),
    **dict.fromkeys(("estimate", "low", "high", "p_value"), float | None),
}
"""Fields of a row that `Claim.to_dict` wrote, beside those of its key."""


@dataclass(frozen=True)
class Claim:
    """One row of a study's verdict."""

    claim: str
    """The analysis that it comes from."""
    part: str
    """Which of the analysis' claims, if it has several."""
    key: Key
    """What it is about: a steer on pairs; a method and form over all their seeds; a model and pairs alone."""
    estimate: float
    unit: str
    interval: ConfidenceInterval
    control: str
    """What the estimate was judged against, in words."""
    outcome: Outcome
    because: str
    """One sentence that says why the outcome is what it is."""
    p_value: float = float("nan")
    """Of the control's hypothesis, where the outcome rests on a test; corrected for all claims of a study together."""
    against: str = ""
    """The method that it is compared with, if it compares."""

    @property
    def name(self) -> str:
        """For reading: "linear_region: line"."""
        return f"{self.claim}: {self.part}" if self.part else self.claim

    def to_dict(self) -> dict[str, Any]:
        """The row, ready for JSON; what is infinite or undefined becomes None."""
        numbers = {
            "estimate": self.estimate, "low": self.interval.low, "high": self.interval.high, "p_value": self.p_value,
        }  # fmt: skip
        return {
            "claim": self.claim,
            "part": self.part,
            **self.key.columns(),
            "against": self.against,
            "unit": self.unit,
            "control": self.control,
            "outcome": self.outcome.value,
            "because": self.because,
            **{name: value if np.isfinite(value) else None for name, value in numbers.items()},
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "Claim":
        """The claim that `to_dict` wrote; what was infinite comes back undefined."""
        estimate, low, high, p_value = (
            float("nan") if row[name] is None else float(row[name]) for name in ("estimate", "low", "high", "p_value")
        )
        words = {name: row[name] for name in ("claim", "part", "against", "unit", "control", "because")}
        return cls(
            key=Key.of(row), estimate=estimate, interval=ConfidenceInterval(low, high), outcome=Outcome(row["outcome"]),
            p_value=p_value, **words,
        )  # fmt: skip


def judge(interval: ConfidenceInterval, supported: tuple[float, float]) -> Outcome:
    """Supported if the interval lies within the values that the claim allows, refuted if outside, else inconclusive.

    An interval that is undefined on either side proves nothing.
    """
    low, high = supported
    if np.isnan(interval.low) or np.isnan(interval.high):
        return Outcome.INCONCLUSIVE
    if low <= interval.low and interval.high <= high:
        return Outcome.SUPPORTED
    if interval.high < low or interval.low > high:
        return Outcome.REFUTED
    return Outcome.INCONCLUSIVE


def correct_for_many(claims: Sequence[Claim], rate: float = 0.05) -> list[Claim]:
    """Holm's correction over all claims that rest on a test: those that do not survive it become inconclusive.

    `p_value` is replaced by the corrected one, so that the share of studies with any false outcome stays below `rate`.
    """
    tested = sorted(
        (index for index, claim in enumerate(claims) if not np.isnan(claim.p_value)), key=lambda i: claims[i].p_value
    )
    corrected, largest = list(claims), 0.0
    for rank, index in enumerate(tested):
        largest = min(1.0, max(largest, claims[index].p_value * (len(tested) - rank)))
        claim = replace(claims[index], p_value=largest)
        if largest > rate and claim.outcome is not Outcome.INCONCLUSIVE:
            words = f"{claim.because} After correction for {len(tested)} tests (Holm) p = {largest:.2g}, too weak to decide."
            claim = replace(claim, outcome=Outcome.INCONCLUSIVE, because=words)
        corrected[index] = claim
    return corrected
