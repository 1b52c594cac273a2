"""Claims: a statement about a model, its estimate with an interval, and whether the evidence bears it out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from .intervals import ConfidenceInterval


class Outcome(Enum):
    """What the evidence says of a claim."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Claim:
    """One row of a study's verdict.

    `claim` names the analysis, `subject` the steer, pairs and site it speaks of, `control` what the estimate was judged
    against, and `because` is one sentence that says why the outcome is what it is.
    """

    claim: str
    subject: str
    estimate: float
    unit: str
    interval: ConfidenceInterval
    control: str
    outcome: Outcome
    because: str
    p_value: float = float("nan")
    """Of the control's hypothesis, where the outcome rests on a test; corrected for all claims of a study together."""

    def to_dict(self) -> dict[str, Any]:
        """The row, ready for JSON; what is infinite or undefined becomes None."""
        row = {
            "claim": self.claim,
            "subject": self.subject,
            "estimate": self.estimate,
            "unit": self.unit,
            "low": self.interval.low,
            "high": self.interval.high,
            "control": self.control,
            "outcome": self.outcome.value,
            "because": self.because,
            "p_value": self.p_value,
        }
        return {
            key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in row.items()
        }


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
