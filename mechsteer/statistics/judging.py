"""Claims: a statement about a model, its estimate with an interval, and whether the evidence bears it out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.stats import norm

from ..store.keys import Key
from .intervals import ConfidenceInterval


class Outcome(Enum):
    """What the evidence says of a claim."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"


LEAST_BEYOND = 10
"""Resamples on the rarer side of a bound, for their share to be told by counting."""

CLAIM = {
    **dict.fromkeys(("claim", "part", "against", "unit", "control", "outcome", "because"), str),
    **dict.fromkeys(("estimate", "low", "high", "p_value"), float | None),
    "is_check": bool,
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
    """Of the control's hypothesis, where the outcome rests on a test; corrected for all claims of a study together. One where a
    test could not have decided as it came out; NaN where none was made."""
    against: str = ""
    """The method that it is compared with, if it compares."""
    raw_p_value: float = float("nan")
    raw_outcome: Outcome | None = None
    """What it was before it was corrected, for a correction over many studies; None where nothing was."""
    is_check: bool = False
    """Whether it holds by construction (a chain rule, a triangle inequality), so that it tests the software and not the model."""

    @property
    def name(self) -> str:
        """For reading: "linear_region: line"."""
        return f"{self.claim}: {self.part}" if self.part else self.claim

    def to_dict(self) -> dict[str, Any]:
        """The row, ready for JSON; what is infinite or undefined becomes None."""
        numbers = {
            "estimate": self.estimate, "low": self.interval.low, "high": self.interval.high, "p_value": self.p_value,
        }  # fmt: skip
        raw = (
            {} if self.raw_outcome is None else {"raw_p_value": self.raw_p_value, "raw_outcome": self.raw_outcome.value}
        )
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
            "is_check": self.is_check,
            **raw,
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "Claim":
        """The claim that `to_dict` wrote; what was infinite comes back undefined."""
        estimate, low, high, p_value = (
            float("nan") if row[name] is None else float(row[name]) for name in ("estimate", "low", "high", "p_value")
        )
        raw = (float("nan"), None) if (was := row.get("raw_outcome")) is None else (row["raw_p_value"], Outcome(was))
        words = {name: row[name] for name in ("claim", "part", "against", "unit", "control", "because")}
        return cls(
            key=Key.of(row), estimate=estimate, interval=ConfidenceInterval(low, high), outcome=Outcome(row["outcome"]),
            p_value=p_value, raw_p_value=raw[0], raw_outcome=raw[1], is_check=bool(row.get("is_check", False)), **words,
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


def judge_all(outcomes: Iterable[Outcome]) -> Outcome:
    """Of a claim that asks several things: supported if all of them are, refuted if any is."""
    found = set(outcomes)
    if Outcome.REFUTED in found:
        return Outcome.REFUTED
    return Outcome.SUPPORTED if found == {Outcome.SUPPORTED} else Outcome.INCONCLUSIVE


LEAST_P = 1e-4
"""Smaller ones are read off a normal tail where no resample lies."""


def p_words(p: float) -> str:
    """A p-value as it is told: 0.012, or < 0.0001."""
    return f"< {LEAST_P:f}".rstrip("0") if p < LEAST_P else f"{p:.2g}"


def p_value(samples: Float[ndarray, " resamples"], supported: tuple[float, float], outcome: Outcome) -> float:
    """How likely resamples of the estimate make it that an outcome of `judge` is wrong, twice the share on the wrong side; of
    what is undecided, that the likelier of both outcomes would be.

    Where fewer than ten of the resamples lie there, the normal distribution of their mean and spread tells. Infinite ones are
    beyond any bound; NaN where one is undefined.
    """
    if not len(samples) or np.isnan(samples).any():
        return float("nan")
    bounds = [bound for bound in supported if np.isfinite(bound)]
    return _p_of([_tail(samples - bound, below=bound == supported[0]) for bound in bounds], outcome)


def interval_p_value(interval: ConfidenceInterval, supported: tuple[float, float], outcome: Outcome) -> float:
    """The same from the interval of the resamples alone, as if they were normal."""
    error = (interval.high - interval.low) / (2 * norm.isf((1 - interval.level) / 2))
    if not np.isfinite(error):
        return float("nan")
    middle, error = (interval.low + interval.high) / 2, max(error, np.finfo(float).tiny)
    beyond = [
        float(norm.cdf((bound - middle) / error if bound == supported[0] else (middle - bound) / error))
        for bound in supported
        if np.isfinite(bound)
    ]
    return _p_of(beyond, outcome)


def _p_of(beyond: Sequence[float], outcome: Outcome) -> float:
    """From the shares beyond each bound of what the claim allows."""
    wrong = {Outcome.SUPPORTED: max(beyond), Outcome.REFUTED: min(1 - share for share in beyond)}
    return float(min(1.0, 2 * wrong.get(outcome, min(wrong.values()))))


def _tail(samples: Float[ndarray, " resamples"], below: bool) -> float:
    """The share of the samples below zero, or above it."""
    samples = samples if below else -samples
    share, n = float(np.mean(samples < 0)), len(samples)
    if min(share, 1 - share) * n >= LEAST_BEYOND:
        return share
    if not np.isfinite(samples).all():
        return (share * n + 1) / (n + 2)
    return float(norm.cdf(-samples.mean() / max(samples.std(), np.finfo(float).tiny)))


def correct_for_many(claims: Sequence[Claim], rate: float = 0.05) -> list[Claim]:
    """Holm's correction over all claims that rest on a test: those that do not survive it become inconclusive.

    `p_value` is replaced by the corrected one, so that the share of studies with any false outcome stays below `rate`. A test
    that left its claim undecided counts as well: it might have come out otherwise.
    """
    tested = [index for index, claim in enumerate(claims) if not np.isnan(claim.p_value)]
    counted = as_counted(
        np.array([claims[index].p_value for index in tested]),
        np.array([claims[index].outcome is Outcome.INCONCLUSIVE for index in tested], dtype=bool),
        rate,
    )
    corrected = list(claims)
    for index, p in zip(tested, holm(counted), strict=True):
        was = claims[index]
        claim = replace(was, p_value=float(p), raw_p_value=was.p_value, raw_outcome=was.outcome)
        if p > rate and claim.outcome is not Outcome.INCONCLUSIVE:
            because = as_corrected(claim.because, len(tested), "Holm", float(p))
            claim = replace(claim, outcome=Outcome.INCONCLUSIVE, because=because)
        corrected[index] = claim
    return corrected


def as_counted(
    p_values: Float[ndarray, " tests"], is_undecided: Bool[ndarray, " tests"], rate: float
) -> Float[ndarray, " tests"]:
    """As a correction counts them: of what is undecided for whatever reason, never small enough to stand before an outcome."""
    return np.where(is_undecided, np.maximum(p_values, rate), p_values)


CORRECTED = re.compile(r" Corrected for \d+ tests \([^)]*\), p = \S+ does not decide\.$")


def as_corrected(because: str, n_tests: int, procedure: str, p: float) -> str:
    """Why an outcome that was decided is so no longer."""
    return f"{as_uncorrected(because)} Corrected for {n_tests} tests ({procedure}), p = {p:.2g} does not decide."


def as_uncorrected(because: str) -> str:
    """Without what a correction has added."""
    return CORRECTED.sub("", because)


def holm(p_values: Float[ndarray, " tests"]) -> Float[ndarray, " tests"]:
    """Corrected so that the share of families with any false rejection stays below the rate."""
    order = np.argsort(p_values, kind="stable")
    remaining = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * remaining), 1)
    return corrected
