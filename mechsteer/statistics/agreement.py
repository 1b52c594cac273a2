"""How far a judge agrees with what is known, and what its rates are worth: corrected by its own errors.

The judge's share of yes is too high where few are and too low where many are. Sensitivity and specificity undo that (Rogan and
Gladen 1978; for judges arXiv 2511.21140), as far as they are the same where the judge was tried and where it is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.stats import PermutationMethod, chi2_contingency, norm
from scipy.stats import t as student

from .intervals import ConfidenceInterval, wilson_interval

LEAST_WORTH = 0.2
"""Sensitivity and specificity together, above one, for a rate to be corrected: less divides luck by nearly nothing."""
Z = float(norm.isf(0.025))


@dataclass(frozen=True)
class Confusion:
    """How often a judge says yes and no, where the truth is yes and no."""

    hits: int
    misses: int
    false_alarms: int
    rejections: int

    @classmethod
    def of(cls, truth: Bool[ndarray, " texts"], said: Bool[ndarray, " texts"]) -> "Confusion":
        counts = (truth & said, truth & ~said, ~truth & said, ~truth & ~said)
        return cls(*(int(np.count_nonzero(some)) for some in counts))

    @property
    def n(self) -> tuple[int, int]:
        """Of the truth: how many are yes, and how many no."""
        return self.hits + self.misses, self.false_alarms + self.rejections

    @property
    def rates(self) -> tuple[float, float]:
        """Sensitivity and specificity; NaN where nothing tells."""
        right = self.hits, self.rejections
        return tuple(one / of if of else float("nan") for one, of in zip(right, self.n, strict=True))  # type: ignore[return-value]

    @property
    def intervals(self) -> tuple[ConfidenceInterval, ConfidenceInterval]:
        """Wilson's, of both."""
        found = []
        for rate, n in zip(self.rates, self.n, strict=True):
            low, high = wilson_interval(np.array([rate]), np.array([n]))[0] if n else (np.nan, np.nan)
            found.append(ConfidenceInterval(float(low), float(high)))
        return found[0], found[1]

    @property
    def worth(self) -> float:
        """Youden's J: none of a judge by luck, one of a perfect one."""
        return sum(self.rates) - 1

    @property
    def kappa(self) -> float:
        """Cohen's: agreement beyond luck, which is low where nearly all are of one kind; look at the counts too."""
        (yes, no), said = self.n, self.hits + self.false_alarms
        total = yes + no
        if not total:
            return float("nan")
        luck = (yes * said + no * (total - said)) / total**2
        agreed = (self.hits + self.rejections) / total
        return (agreed - luck) / (1 - luck) if luck < 1 else float("nan")


def carries_over(strata: Sequence[Confusion], seed: int = 0) -> float:
    """How likely sensitivity and specificity differ as much between strata by luck alone; NaN where there is one stratum."""
    ps = []
    for right, wrong in (("hits", "misses"), ("rejections", "false_alarms")):
        counts = np.array([row for one in strata if sum(row := [getattr(one, right), getattr(one, wrong)])])
        if len(counts) < 2:
            continue
        if not (counts.sum(axis=0) > 0).all():
            ps.append(1.0)
            continue
        method = PermutationMethod(n_resamples=999, rng=np.random.default_rng(seed))
        found: Any = chi2_contingency(counts, correction=False, method=method)
        ps.append(float(found.pvalue))
    return min(1.0, len(ps) * min(ps)) if ps else float("nan")


def corrected(rate: float, n: int, judge: Confusion) -> tuple[float, ConfidenceInterval]:
    """The share of yes behind a judge's share, with the luck of both samples: of what is judged, and of what it was tried on."""
    if not judge.worth > 0:
        return float("nan"), ConfidenceInterval(np.nan, np.nan)
    sensitivity, specificity = judge.rates
    estimate = float(np.clip((rate + specificity - 1) / judge.worth, 0, 1))
    # Shares of none and all have doubt too: an observation more of either kind (Agresti and Coull).
    share = (n * rate + Z**2 / 2) / (n + Z**2)
    right = [(m * of + 1) / (m + 2) for m, of in zip(judge.n, judge.rates, strict=True)]
    worth = max(sum(right) - 1, np.finfo(float).tiny)
    middle = float(np.clip((share + right[1] - 1) / worth, 0, 1))
    variances = [of * (1 - of) / (m + 2) for m, of in zip(judge.n, right, strict=True)]
    total = share * (1 - share) / (n + Z**2) + middle**2 * variances[0] + (1 - middle) ** 2 * variances[1]
    half = Z * float(np.sqrt(total)) / worth
    low, high = np.clip([middle - half, middle + half], 0, 1)
    return estimate, ConfidenceInterval(float(low), float(high))


def prediction_powered(
    said: Float[ndarray, " queries"], true: Float[ndarray, " queries"]
) -> tuple[float, ConfidenceInterval]:
    """A mean by a judge, corrected by its errors where the truth is known: for differences of two steers' scores, query by query.

    The judge's mean over all queries, and the mean of truth less judge over those whose truth is known (NaN elsewhere), which
    must be a random part of them; the judge may be biased, also otherwise under one steer than under the other. Both variances
    make up the 95 % interval (Angelopoulos et al. 2023, Science 382:669), and, since known queries are among all, their
    covariance; Student's, for few that are known. Units are those of the scores.
    """
    known = np.isfinite(true)
    error, n = true[known] - said[known], int(known.sum())
    if n < 2:
        return float("nan"), ConfidenceInterval(np.nan, np.nan)
    estimate = float(said.mean() + error.mean())
    together = np.cov(said[known], error)[0, 1]
    variance = said.var(ddof=1) / len(said) + error.var(ddof=1) / n + 2 * together / len(said)
    half = float(student.isf(0.025, n - 1) * np.sqrt(max(variance, 0.0)))
    return estimate, ConfidenceInterval(estimate - half, estimate + half)
