"""Scores: a judge's verdict on every text under a steer, by query and multiplier; failed judgements stay missing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from mechsteer.judges.base import Judge, Written
from mechsteer.judges.rules import names
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.intervals import N_RESAMPLES
from mechsteer.store.keys import Key

OVERALL = "overall"
"""The harmonic mean of all aspects with a role, each between zero and one. It is zero where any of them is (as in AxBench)."""


@dataclass(frozen=True, eq=False)
class Judged:
    """The scores of a steer's texts, beside its sweep."""

    sweep: Sweep
    scores: pd.DataFrame

    @property
    def key(self) -> Key:
        return self.sweep.key

    @property
    def judge(self) -> str:
        return str(self.scores.judge.iloc[0])

    def aspect(self, role: str) -> str:
        """The aspect with this role, the concept or coherence; "" where the judge has none."""
        found = self.scores.loc[self.scores.role == role, "aspect"]
        return "" if found.empty else str(found.iloc[0])

    def curves(self, aspect: str) -> "Curves":
        """Curves of one aspect, or of the overall score."""
        return Curves.of(overall(self.scores) if aspect == OVERALL else self.scores.loc[self.scores.aspect == aspect])


@dataclass(frozen=True, eq=False)
class Curves:
    """Means over the samples of each query; NaN where no sample has a score."""

    multipliers: Float[ndarray, " m"]
    queries: tuple[str, ...]
    values: Float[ndarray, "m queries"]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> "Curves":
        table = rows.pivot_table(index="multiplier", columns="pair", values="value", aggfunc="mean", dropna=False)
        return cls(table.index.to_numpy(np.float64), tuple(map(str, table.columns)), table.to_numpy(np.float64))

    def only(self, queries: Int[ndarray, " some"]) -> "Curves":
        """The curves of these queries alone, by index."""
        return Curves(self.multipliers, tuple(self.queries[at] for at in queries), self.values[:, queries])

    @property
    def n(self) -> int:
        """Queries that have a score at every multiplier."""
        return int(np.isfinite(self.values).all(axis=0).sum())

    @property
    def zero(self) -> int:
        return int(np.flatnonzero(self.multipliers == 0)[0])

    def at(self, multiplier: float) -> Float[ndarray, " queries"]:
        """Linearly interpolated between the swept multipliers."""
        rows = [np.interp(multiplier, self.multipliers, query) for query in self.values.T]
        return np.array(rows)

    def at_best(self) -> tuple[Float[ndarray, " queries"], Float[ndarray, "2"]]:
        """Each query's score at the multiplier towards the concept that is best for the other half of the queries, and the two
        multipliers: AxBench's protocol, both ways. Chosen and scored on the same queries, a multiplier would look better than
        it is."""
        values, chosen = np.full(len(self.queries), np.nan), np.zeros(2)
        for half in (0, 1):
            means = self.only(np.arange(1 - half, len(self.queries), 2)).draws(n=0)[0]
            best = np.where((self.multipliers >= 0) & np.isfinite(means), means, -np.inf).argmax()
            values[half::2], chosen[half] = self.values[best, half::2], self.multipliers[best]
        return values, chosen

    def draws(self, seed: int = 0, n: int = N_RESAMPLES) -> Float[ndarray, "draws m"]:
        """Means over all queries, then over resampled queries; queries without a score are skipped."""
        n_queries = len(self.queries)
        times = np.random.default_rng(seed).multinomial(n_queries, np.full(n_queries, 1 / n_queries), size=n)
        times = np.concatenate([np.ones((1, n_queries), np.int64), times])
        there = np.isfinite(self.values)
        with np.errstate(invalid="ignore"):
            return (times @ np.where(there, self.values, 0).T) / (times @ there.T)


def scored(table: pd.DataFrame, texts: Sequence[Written], judge: Judge, label: str, concept: str) -> pd.DataFrame:
    """A row for each text and aspect: the score as the judge gives it, and as a `value` between zero and one."""
    found = judge.judge(texts)
    named = [names(concept, item.text) for item in texts]
    parts = []
    for aspect in judge.aspects:
        rows = found[aspect.name]
        scores = np.array([row.score for row in rows], np.float64)
        parts.append(
            table[["multiplier", "pair", "sample"]].assign(
                judge=label, aspect=aspect.name, role=aspect.role, score=scores,
                value=aspect.share(scores),
                failed=[row.failed for row in rows], mass=[row.mass for row in rows], named=named,
                raw=[row.raw for row in rows], about=judge.about,
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def overall(scores: pd.DataFrame) -> pd.DataFrame:
    """A row for each text with its overall score, missing where any part is."""
    texts = ["multiplier", "pair", "sample"]
    rows = scores.loc[scores.role != ""]
    parts = rows.pivot(index=texts, columns="aspect", values="value")
    with np.errstate(divide="ignore"):
        value = 1 / (1 / parts.to_numpy()).mean(axis=1)
    named = rows.groupby(texts)["named"].first()
    found = pd.DataFrame({"value": value, "named": named.to_numpy()}, index=parts.index).reset_index()
    return found.assign(aspect=OVERALL, role="")


def summarise(scores: pd.DataFrame, sweep: Sweep) -> pd.DataFrame:
    """A row for each aspect and multiplier: the mean over queries with its interval, the number of texts without a score, and the
    means if all of those were the worst or the best; beside preference and lost utility (nats). `named` is the share of all
    `n_texts`, with or without a score, that contain a word of the concept's description."""
    parts = []
    for aspect, rows in {**dict(tuple(scores.groupby("aspect", sort=False))), OVERALL: overall(scores)}.items():
        curves = Curves.of(rows)
        draws = curves.draws()
        texts = rows.groupby("multiplier")
        low, high = np.quantile(draws[1:], [0.025, 0.975], axis=0)
        bounds = {
            name: rows.assign(value=rows.value.fillna(end)).groupby("multiplier").value.mean().to_numpy()
            for name, end in (("worst", 0.0), ("best", 1.0))
        }
        parts.append(
            pd.DataFrame({
                "judge": scores.judge.iloc[0], "aspect": aspect, "role": rows.role.iloc[0],
                "multiplier": curves.multipliers, "mean": draws[0], "low": low, "high": high,
                "n_texts": texts.size().to_numpy(), "n_failed": texts.value.apply(lambda values: values.isna().sum()).to_numpy(),
                "named": texts.named.mean().to_numpy(), **bounds,
            })
        )  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    beside = {"preference": sweep.preference.mean(axis=1), "utility_lost": sweep.lost.mean(axis=1)}
    return table.assign(
        about=scores.about.iloc[0],
        **{name: np.interp(table.multiplier, sweep.multipliers, values) for name, values in beside.items()},
    )


def sentence(judged: pd.DataFrame, steer: str, multiplier: float) -> str:
    """A judge's scores unsteered and under one steer at a multiplier, and how many texts name the concept."""

    def row_at(aspect: str, m: float) -> pd.Series:
        rows = judged.loc[judged.aspect == aspect]
        return rows.iloc[int(np.argmin(np.abs(rows.multiplier - m)))]

    def at(aspect: str, m: float) -> str:
        row = row_at(aspect, m)
        return "no score" if np.isnan(row["mean"]) else f"{row['mean']:.2f} [{row.low:.2f}, {row.high:.2f}]"

    first = judged.iloc[0]
    aspects = pd.unique(judged.loc[judged.role != "", "aspect"])
    parts = [f"{aspect} from {at(aspect, 0.0)} to {at(aspect, multiplier)}" for aspect in aspects]
    overall = f"; overall {at(OVERALL, multiplier)}" if len(parts) > 1 else ""
    failed = int(judged.loc[judged.aspect != OVERALL, "n_failed"].sum())
    missing = f" {failed} judgements are missing." if failed else ""
    known = f" ({first['about']})" if first["about"] else ""
    shares = [row_at(first.aspect, m).named for m in (0.0, multiplier)]
    named = f" The share of texts that name it goes from {shares[0]:.2f} to {shares[1]:.2f}." if any(shares) else ""
    takes = f"{steer} at m = {multiplier:.3g} takes {', '.join(parts)}"
    return f"By the judge {first['judge']}{known}, {takes}{overall}.{missing}{named}"
