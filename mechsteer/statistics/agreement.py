"""How far a judge agrees with what is known, and what its rates are worth: corrected by its own errors.

The judge's share of yes is too high where few are and too low where many are. Sensitivity and specificity undo that (Rogan and
Gladen 1978; for judges arXiv 2511.21140), as far as they are the same where the judge was tried and where it is used.

Answers to one query are alike, so an interval counts texts by how much they tell beyond their queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray
from scipy.stats import PermutationMethod, chi2_contingency, norm
from scipy.stats import t as student

from .intervals import ConfidenceInterval, wilson_interval

LEAST_WORTH = 0.2
"""Sensitivity and specificity together, above one, for a rate to be corrected: less divides luck by nearly nothing."""
Z = float(norm.isf(0.025))


def independent_texts(said: Bool[ndarray, " texts"], queries: Shaped[ndarray, " texts"]) -> float:
    """How many independent texts would tell as much of the share of yes as these, several of which answer one query.

    The number of texts, divided by the design effect (how far queries scatter beyond independent texts, at least 1) and by the
    square of Student's quantile for this number of queries over that for this number of texts (Korn and Graubard 1998, Survey
    Methodology 24:193). At least the number of queries, and all texts where each has a query of its own.
    """
    return _independent(*_by_query(np.stack([said, np.ones_like(said)], axis=1), queries).T)


def _by_query(counted: Bool[ndarray, "texts k"], queries: Shaped[ndarray, " texts"]) -> Int[ndarray, "queries k"]:
    names, numbers = np.unique(queries, return_inverse=True)
    found = np.zeros((len(names), counted.shape[1]), np.int64)
    np.add.at(found, numbers, counted)
    return found


def _independent(yes: Int[ndarray, " queries"], n: Int[ndarray, " queries"]) -> float:
    if not (total := int(n.sum())):
        return 0.0
    share = float(yes.sum() / total)
    # Kish's number, since some queries have more texts than others.
    n_queries = float(total**2 / np.square(n).sum())
    # Texts of a query are no more alike than wholly; a share of none or all, or a single query, does not show how much.
    if share in (0, 1) or n_queries == 1:
        return n_queries
    # Dividing by 1 - n / total leaves no bias where texts are independent. Less scatter than theirs is luck.
    scatter = np.sum(np.square(yes - share * n) / (1 - n / total))
    effect = max(float(scatter / (share * (1 - share) * total**2 / (total - 1))), 1.0)
    of_texts, of_queries = student.isf(0.025, [total - 1, n_queries - 1])
    return max(float(total / effect * (of_texts / of_queries) ** 2), n_queries)


@dataclass(frozen=True)
class Confusion:
    """How often a judge says yes and no, where the truth is yes and no."""

    hits: int
    misses: int
    false_alarms: int
    rejections: int
    by_query: Int[ndarray, "queries 4"] | None = field(default=None, compare=False, repr=False)
    """The four counts of each query; None where queries are unknown, and texts are taken for independent."""

    @classmethod
    def of(
        cls,
        truth: Bool[ndarray, " texts"],
        said: Bool[ndarray, " texts"],
        queries: Shaped[ndarray, " texts"] | None = None,
    ) -> "Confusion":
        counted = np.stack([truth & said, truth & ~said, ~truth & said, ~truth & ~said], axis=1)
        by_query = None if queries is None else _by_query(counted, queries)
        return cls(*counted.sum(axis=0).tolist(), by_query=by_query)

    @property
    def counts(self) -> dict[str, int]:
        """The four by name."""
        return {name: getattr(self, name) for name in ("hits", "misses", "false_alarms", "rejections")}

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
    def n_independent(self) -> tuple[float, float]:
        """Of the truth, yes and no: how many independent texts would tell as much of either rate (`independent_texts`)."""
        if self.by_query is None:
            return self.n
        hits, misses, false_alarms, rejections = self.by_query.T
        return _independent(hits, hits + misses), _independent(rejections, false_alarms + rejections)

    @property
    def intervals(self) -> tuple[ConfidenceInterval, ConfidenceInterval]:
        """Wilson's, of both, for as many texts as are independent."""
        found = []
        for rate, n in zip(self.rates, map(round, self.n_independent), strict=True):
            low, high = wilson_interval(np.array([rate]), np.array([n]))[0] if n else (np.nan, np.nan)
            found.append(ConfidenceInterval(float(low), float(high)))
        return found[0], found[1]

    @property
    def errors_together(self) -> float:
        """Correlation over queries of what each adds to sensitivity and to specificity: negative where the judge says yes to all
        texts of some queries and no to all of others. Zero where queries are unknown, or a rate has no errors."""
        if self.by_query is None:
            return 0.0
        hits, misses, false_alarms, rejections = self.by_query.T
        one, other = hits - self.rates[0] * (hits + misses), rejections - self.rates[1] * (false_alarms + rejections)
        scale = float(np.sqrt(np.sum(one**2) * np.sum(other**2)))
        return float(one @ other) / scale if scale > 0 else 0.0

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


def corrected(rate: float, n: float, judge: Confusion) -> tuple[float, ConfidenceInterval]:
    """The share of yes behind a judge's share, with the luck of both samples: of what is judged, and of what it was tried on.

    ```python
    judge = Confusion.of(truth, verdicts, queries)
    share, interval = corrected(said.mean(), independent_texts(said, their_queries), judge)
    ```

    The 95 % interval, for texts that answer other queries as well as these, is the delta method's closed form for independent
    texts, given how many of them would tell as much. Drawing queries again would presume nothing of how they scatter, but holds
    the truth too rarely where they are few: in simulations, 83 % of the time with 5 queries in either sample and 92 % with 16,
    where this holds it 97 % and 96 %. It also gives a share of none no width.

    Args:
        rate: the judge's share of yes.
        n: of independent texts that it is a share of, by `independent_texts`.
        judge: its errors, by query. If these are the queries of the rate too, the interval is wider than it need be.
    """
    if not judge.worth > 0:
        return float("nan"), ConfidenceInterval(np.nan, np.nan)
    sensitivity, specificity = judge.rates
    estimate = float(np.clip((rate + specificity - 1) / judge.worth, 0, 1))
    # Shares of none and all have doubt too: an observation more of either kind (Agresti and Coull).
    share = (n * rate + Z**2 / 2) / (n + Z**2)
    right = [(m * of + 1) / (m + 2) for m, of in zip(judge.n_independent, judge.rates, strict=True)]
    worth = max(sum(right) - 1, np.finfo(float).tiny)
    middle = float(np.clip((share + right[1] - 1) / worth, 0, 1))
    errors = [np.sqrt(of * (1 - of) / (m + 2)) for m, of in zip(judge.n_independent, right, strict=True)]
    one, other = middle * errors[0], (1 - middle) * errors[1]
    # A positive correlation would narrow the interval; a few queries show it too often by luck.
    together = min(judge.errors_together, 0.0)
    total = share * (1 - share) / (n + Z**2) + one**2 + other**2 - 2 * together * one * other
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
