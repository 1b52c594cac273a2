"""Coverage: a pair's two completions stand for others, those that the model would write and those of a second pair set.

Preference and utility (arXiv 2602.02343, eqs. 7-8) are read from two texts a query. Let w be by how many times a steer makes a
completion likelier. Then preference changes by log w of the completion for the concept less that of the one against it, and
utility by the logarithm of w's mean over both, weighted by how likely each is unsteered. Both are also computed from a query's
sampled completions: for every combination of one completion from each side, then averaged. Where no checker tells sides, the
loss of one completion is compared instead. Preference computed so is a mean of logarithms. `odds` is the logarithm of a mean, of
w over all sampled completions of a side: by how much the model turns to that side at all.

The claims compare changes from m = 0 over the useful range of the pairs, so one set may be harder than another. Preference
counts as the same where the gain and the slope differ by at most a fifth. Utility counts as the same where one set loses between
a quarter of a nat and one nat while the other loses half a nat. Loss grows about as the square of m, so the range in which half a
nat is lost may be wider or narrower by a factor of √2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from mechsteer.measuring.log_odds import log_useful_probability
from mechsteer.measuring.useful import USEFUL, exceeded
from mechsteer.statistics.intervals import N_RESAMPLES, ConfidenceInterval, percentile_interval, resampled_with
from mechsteer.statistics.judging import Claim, Outcome, judge, judge_all, p_value
from mechsteer.store.keys import Key, keys_in

from .power import if_powerful, power
from .result import MIN_PAIRS, Result, too_few, undecided

PAIRS, SAMPLED, SECOND = "pairs", "sampled completions", "second pairs"
"""Whose completions a row of the evidence is of."""
LOSS, PREFERENCE, UTILITY, ODDS = "loss", "preference", "utility", "odds"
"""What is read from them."""

NAME = "coverage"
ORDER = 12
THEME = "measurement"
NEEDS = "coverage"
VERSION = 2
TITLES = {
    "loss, sampled": "The model's own completions lose as much likelihood as the pairs'",
    "preference, sampled": "The model's own completions give the same preference as the pairs",
    "utility, sampled": "The model's own completions give the same utility as the pairs",
    "odds, sampled": "The odds of an answer on the concept's side change as much as preference",
    "preference, second pairs": "A second pair set gives the same preference",
    "utility, second pairs": "A second pair set gives the same utility",
}
PARTS = {
    "loss, sampled": (LOSS, SAMPLED),
    "preference, sampled": (PREFERENCE, SAMPLED),
    "utility, sampled": (UTILITY, SAMPLED),
    "odds, sampled": (ODDS, SAMPLED),
    "preference, second pairs": (PREFERENCE, SECOND),
    "utility, second pairs": (UTILITY, SECOND),
}
FIGURE = "coverage"

GAINED, SLOPE, LOST, AS_WIDE = (0.8, 1.25), (-0.2, 0.2), (0.5, 2.0), (0.5**0.5, 2**0.5)
"""What counts as alike, as the docstring says."""
MORE_GAINED, MORE_LOST = "ratio of gains", "ratio of losses"
CONTROL = "the pairs' own completions"
OTHERS = {SAMPLED: "Completions sampled for {} queries", SECOND: "{} second pairs"}
N_PLANTED_RESAMPLES = 100
"""Of each planted truth: only on which side of the bounds its intervals lie is counted, and each takes whole curves."""


@dataclass(frozen=True, eq=False)
class Changes:
    """What a steer changes since m = 0 (nats), by query. Of the odds: w, summed over a query's completions of either side."""

    queries: Sequence[str]
    values: Float[ndarray, "parts m queries"]

    def draws(self, n_resamples: int, seed: int = 0) -> Float[ndarray, "draws m"]:
        """The curve of all queries, then of queries drawn again; that of the odds has a height of its own."""
        curve, *against = (resampled_with(part, n_resamples, seed) for part in self.values)
        return np.log(curve) - np.log(against[0]) if against else curve

    def rows(self, rows: Int[ndarray, " rows"]) -> "Changes":
        return Changes([str(self.queries[row]) for row in rows], self.values[:, :, rows])

    def of(self, queries: Sequence[str]) -> "Changes":
        """Of these queries alone."""
        return self.rows(pd.Index(self.queries).get_indexer(pd.Index(queries)))


@dataclass(frozen=True, eq=False)
class Measure:
    """One number by which two curves are set beside each other, first of all queries, then of queries drawn again."""

    unit: str
    draws: Float[ndarray, " draws"]
    alike: tuple[float, float]
    same: float
    """What it is of a curve and itself."""

    @property
    def interval(self) -> ConfidenceInterval:
        return percentile_interval(self.draws[1:])

    @property
    def departure(self) -> float:
        """From the same, where one is the end of what is alike."""
        apart = self.draws[0] - self.same
        return float(apart / (self.alike[int(apart > 0)] - self.same))

    def __str__(self) -> str:
        interval = self.interval
        number = f"{self.draws[0]:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
        return f"the {self.unit} is {number} ({self.alike[0]:.3g} to {self.alike[1]:.3g} counts as alike)"


def run(table: pd.DataFrame) -> Result:
    """Claims about one steer; those that need sides, or a second set, where these are there."""
    key, m = keys_in(table)[0], np.unique(table.multiplier)
    changed = {str(whose): changes(rows, str(whose)) for whose, rows in table.groupby("whose", sort=False)}
    pairs = changed[PAIRS]
    lost = pairs[UTILITY].draws(0)
    ends = np.array([float(exceeded(m, lost, np.array([USEFUL]), sign)[0]) for sign in (-1, 1)])
    claims = [
        _judge(key, part, pairs[PREFERENCE if quantity == ODDS else quantity], changed[whose][quantity], m, ends)
        for part, (quantity, whose) in PARTS.items()
        if quantity in changed.get(whose, {})
    ]
    if ODDS not in changed[SAMPLED]:
        note = " No checker knows which side a sampled completion takes, so preference and utility are not compared."
        claims[0] = replace(claims[0], because=claims[0].because + note)
    within = dict(zip(("useful_low", "useful_high"), ends.clip(m[0], m[-1]), strict=True))
    tables = {"curve": _curves(changed, m).assign(**within), "mass": _mass(table)}
    return Result(tuple(claims), tables)


def changes(rows: pd.DataFrame, whose: str) -> dict[str, Changes]:
    """By what is read from completions; what needs sides, where these are known."""
    losses = rows.pivot(index="multiplier", columns=["pair", "completion", "side"], values="loss")
    at_zero = losses.loc[0.0].to_numpy()
    log_w = at_zero - losses.to_numpy()
    pair, side = (losses.columns.get_level_values(name).to_numpy() for name in ("pair", "side"))
    of_all = [np.count_nonzero(side == which) / max(np.count_nonzero(side), 1) for which in (1, -1)]
    found: dict[str, dict[str, ndarray]] = {name: {} for name in (LOSS, PREFERENCE, UTILITY, ODDS)}
    for query in pd.unique(pair):
        here = pair == query
        one, other = (log_w[:, here & (side == which)] for which in (1, -1))
        # Drawn from the model, completions are as frequent as they are likely; those of a pair are not.
        weights = np.exp(-at_zero[here] - np.logaddexp.reduce(-at_zero[here]))
        of_sides = [weights[side[here] == which].sum() for which in (1, -1)]
        if whose == SAMPLED:
            weights, of_sides = np.full(len(weights), 1 / len(weights)), of_all
            found[ODDS][query] = np.exp(np.stack([np.logaddexp.reduce(some, axis=1) for some in (one, other)]))
        found[LOSS][query] = -log_w[:, here] @ weights
        if one.size and other.size:
            both = [np.log(share) + some for share, some in zip(of_sides, (one, other), strict=True)]
            found[PREFERENCE][query] = one.mean(axis=1) - other.mean(axis=1)
            found[UTILITY][query] = -np.logaddexp(both[0][:, :, None], both[1][:, None, :]).mean(axis=(1, 2))
    if not found[PREFERENCE]:
        del found[ODDS]
    return {
        name: Changes(list(curves), np.stack(list(curves.values()), axis=-1).reshape(-1, len(losses), len(curves)))
        for name, curves in found.items()
        if curves
    }


def _judge(
    key: Key, part: str, pairs: Changes, others: Changes, m: Float[ndarray, " m"], ends: Float[ndarray, " 2"]
) -> Claim:
    """Alike in every measure, or not alike in one."""
    quantity, whose = PARTS[part]
    pairs = pairs.of(others.queries) if whose == SAMPLED else pairs
    is_gain, within = quantity in (PREFERENCE, ODDS), ends.clip(m[0], m[-1])
    because = ""
    if (n := min(len(pairs.queries), len(others.queries))) < MIN_PAIRS:
        because = too_few(n)
    elif not is_gain and not (AS_WIDE[1] * np.abs(ends) <= np.abs(m[[0, -1]])).all():
        because = (
            f"The sweep ends before {AS_WIDE[1]:.2f} times the useful range by log-odds on one side. Sweep further."
        )
    elif quantity == ODDS and (worth := _worth(others, m, within)) < MIN_PAIRS:
        because = (
            f"On one side the effective number of queries is {worth:.0f}; {MIN_PAIRS} are needed. Measure more pairs."
        )
    if because:
        return undecided(NAME, part, key, MORE_GAINED if is_gain else MORE_LOST, because, CONTROL)

    def compared(both: Sequence[Changes], seeds: Sequence[int], n_resamples: int) -> Sequence[Measure]:
        one, two = (some.draws(n_resamples, seed) for some, seed in zip(both, seeds, strict=True))
        return (
            _of_gains(m, one, two, within)
            if is_gain
            else _of_losses(m, one, two, within, of_utility=quantity == UTILITY)
        )

    def planted(rng: np.random.Generator) -> Outcome:
        """Of others that are as the pairs are."""
        truth = _as_if_alike(others, pairs) if quantity == ODDS else pairs
        again = [
            some.rows(rng.integers(len(some.queries), size=len(drawn.queries)))
            for some, drawn in ((pairs, pairs), (truth, others))
        ]
        return _outcome(compared(again, rng.integers(2**31, size=2).tolist(), N_PLANTED_RESAMPLES))[0]

    # The same queries are drawn again of both; of two sets of pairs, each by itself.
    found = compared((pairs, others), (0, int(whose == SECOND)), N_RESAMPLES)
    outcome, p = _outcome(found)
    furthest = max(found, key=lambda measure: measure.departure)
    because = (
        f"{OTHERS[whose].format(len(others.queries))} against {len(pairs.queries)} pairs: {'; '.join(map(str, found))}."
    )
    estimate, interval = float(furthest.draws[0]), furthest.interval
    claim = Claim(NAME, part, key, estimate, furthest.unit, interval, CONTROL, outcome, because, p)
    known = power("the others are drawn from the pairs themselves", planted)
    return if_powerful(known, claim, at_sight=Outcome.REFUTED)


def _of_gains(
    m: Float[ndarray, " m"], one: Float[ndarray, "draws m"], two: Float[ndarray, "draws m"], ends: Float[ndarray, " 2"]
) -> Sequence[Measure]:
    """What is gained between the ends, and the slope at zero, which may be nearly none: its difference, beside the mean slope."""
    zero = int(np.flatnonzero(m == 0)[0])
    near = m[[max(zero - 1, 0), min(zero + 1, len(m) - 1)]]
    spans, slopes = ([np.diff(_at(m, curves, where))[:, 0] for curves in (one, two)] for where in (ends, near))
    mean_slope = spans[0] / np.diff(ends)
    return (
        Measure(MORE_GAINED, spans[1] / spans[0], GAINED, 1.0),
        Measure(
            "slope difference at zero relative to the mean slope",
            (slopes[1] - slopes[0]) / np.diff(near) / mean_slope,
            SLOPE,
            0.0,
        ),
    )


def _of_losses(
    m: Float[ndarray, " m"], one: Float[ndarray, "draws m"], two: Float[ndarray, "draws m"], ends: Float[ndarray, " 2"],
    *, of_utility: bool,
) -> Sequence[Measure]:  # fmt: skip
    """What is lost at both ends, and of utility how wide the range is in which half a nat is lost at most."""
    lost = [_at(m, curves, ends).sum(axis=1) for curves in (one, two)]
    measures = [Measure(MORE_LOST, lost[1] / lost[0], LOST, 1.0)]
    if of_utility:
        widths = [_width(m, curves) for curves in (one, two)]
        measures.append(Measure("ratio of useful ranges by log-odds", widths[1] / widths[0], AS_WIDE, 1.0))
    return measures


def _at(m: Float[ndarray, " m"], curves: Float[ndarray, "draws m"], where: Float[ndarray, " k"]) -> ndarray:
    """Between multipliers on a line, which is a weighted sum of what is known at two."""
    return curves @ np.array([np.interp(where, m, one) for one in np.eye(len(m))])


def _width(m: Float[ndarray, " m"], lost: Float[ndarray, "draws m"]) -> Float[ndarray, " draws"]:
    """Of as much of the range as was swept."""
    low, high = (exceeded(m, lost, np.full(len(lost), USEFUL), sign).clip(m[0], m[-1]) for sign in (-1, 1))
    return high - low


def _worth(odds: Changes, m: Float[ndarray, " m"], ends: Float[ndarray, " 2"]) -> float:
    """Of how many queries the least side consists at the ends, by what weights of so unequal size are worth (Kish)."""
    worth = odds.values.sum(axis=2) ** 2 / np.square(odds.values).sum(axis=2)
    return float(_at(m, worth, ends).min())


def _as_if_alike(odds: Changes, pairs: Changes) -> Changes:
    """The same completions, were those for the concept to become likelier by so much more that odds change as preference does."""
    missed = pairs.draws(0)[0] - odds.draws(0)[0]
    return replace(odds, values=odds.values * np.exp(np.stack([missed, np.zeros_like(missed)]))[:, :, None])


def _outcome(found: Sequence[Measure]) -> tuple[Outcome, float]:
    """Supported where all are alike, refuted where one is not, and how likely that is wrong; one where neither is."""
    outcomes = [judge(measure.interval, measure.alike) for measure in found]
    ps = [p_value(measure.draws[1:], measure.alike, outcome) for measure, outcome in zip(found, outcomes, strict=True)]
    if (together := judge_all(outcomes)) is Outcome.REFUTED:
        least = min(p for p, outcome in zip(ps, outcomes, strict=True) if outcome is together)
        return together, min(1.0, len(found) * least)
    return together, max(ps) if together is Outcome.SUPPORTED else 1.0


def _curves(changed: Mapping[str, Mapping[str, Changes]], m: Float[ndarray, " m"]) -> pd.DataFrame:
    """A row for each kind of completions, what is read from them, and multiplier: the change, with its interval over queries."""
    parts = []
    for whose, quantities in changed.items():
        for quantity, found in quantities.items():
            draws = found.draws(N_RESAMPLES)
            draws = draws - draws[:, m == 0]
            intervals = [percentile_interval(values) for values in draws[1:].T]
            ends = {"low": [item.low for item in intervals], "high": [item.high for item in intervals]}
            about = {"whose": whose, "quantity": quantity, "n_queries": len(found.queries)}
            parts.append(pd.DataFrame({"multiplier": m, "value": draws[0]} | ends | about))
    return pd.concat(parts, ignore_index=True)


def _mass(table: pd.DataFrame) -> pd.DataFrame:
    """How much of the model's probability a pair's two completions hold, in quartiles over pairs (nats, and as shares)."""
    rows = table.loc[table.whose == PAIRS]
    positive, negative = (
        rows.loc[rows.side == side].pivot(index="multiplier", columns="pair", values="loss") for side in (1, -1)
    )
    held = log_useful_probability(positive.to_numpy(), negative.to_numpy())
    quartiles = dict(zip(("lower", "median", "upper"), np.quantile(held, (0.25, 0.5, 0.75), axis=1), strict=True))
    shares = {f"{name}_share": np.exp(values) for name, values in quartiles.items()}
    return pd.DataFrame({"multiplier": positive.index} | quartiles | shares)
