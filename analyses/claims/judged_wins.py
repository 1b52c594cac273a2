"""SPLIT writes better text than every rival by a judge's harmonic mean (arXiv 2602.02343, its tables on generations).

Compared at m = 1, as the paper does, where every method's own scale decides how hard it steers; where every steer has lost half a
nat of utility; and at each steer's best multiplier, chosen on the other half of the queries, as AxBench does (arXiv 2501.17148).
The first two are read between swept multipliers. All are on the same queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.judges.scale import COHERENCE
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import USEFUL, exceeded
from mechsteer.statistics.intervals import N_RESAMPLES, SeedsEstimate, resampled_means
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import Key, labelled

from ..evidence.comparison import METHOD, ONE_SEED, over_seeds, told
from ..evidence.scores import OVERALL, Judged
from .result import MIN_PAIRS, Result, undecided

NAME = "judged_wins"
ORDER = 132
VERSION = 4
THEME = "methods"
SCOPE = "study"
NEEDS = "all_scores"
ACROSS = True
TITLES = {
    "m = 1": "At m = 1 SPLIT writes better text than the other methods",
    "equal utility": "At an equal loss of utility SPLIT writes better text than the other methods",
    "best multiplier": "At the best multiplier, chosen on other queries, SPLIT writes better text than the other methods",
}
FIGURE = "judged_wins"
BOUNDS = dict.fromkeys(TITLES, (0.0,))
UNIT = "of the harmonic mean"
UNSTEERED = "m = 0"
NO_COHERENCE = "says nothing of coherence, so its harmonic mean is the concept alone. Let another judge come first."


@dataclass(frozen=True, eq=False)
class Place:
    """Where the texts of a steer are compared: the multiplier and the harmonic mean of each query, by training seed."""

    multipliers: list[float]
    values: list[Float[ndarray, " queries"]]


def run(judged: Sequence[Judged], seed: int = 0) -> Result:
    """A claim for each form, rival and place; none where SPLIT or its rivals were not studied."""
    keys: dict[tuple[str, str], Key] = {}
    has_coherence = all(item.aspect(COHERENCE) for item in judged)
    found: dict[tuple[str, str], dict[str, Place]] = {}
    for item in judged:
        name = (item.sweep.method, item.sweep.form)
        keys.setdefault(name, over_seeds(item.sweep))
        curves = item.curves(OVERALL)
        at = {part: (curves.at(m), m) for part, m in places(item.sweep).items()}
        best, chosen = curves.at_best()
        for part, (values, m) in (at | {"best multiplier": (best, float(chosen.mean()))}).items():
            place = found.setdefault(name, {}).setdefault(part, Place([], []))
            place.multipliers.append(m)
            place.values.append(values)
    claims = [
        _judge(
            keys[METHOD, form], part, method, parts[part].values,
            found[method, form][part].values if part in found[method, form] else [], judged[0].judge, seed,
        )
        if has_coherence
        else undecided(
            NAME, part, keys[METHOD, form], UNIT, f"{judged[0].judge} {NO_COHERENCE}", judged[0].judge, method
        )
        for (split, form), parts in found.items()
        if split == METHOD
        for method, other in found
        if other == form and method != METHOD
        for part in TITLES
        if part in parts
    ]  # fmt: skip
    rows = [
        labelled(pd.DataFrame([{"place": part} | _mean(place, seed)]), keys[name])
        for name, parts in found.items() for part, place in parts.items()
    ]  # fmt: skip
    return Result(tuple(claims), {"scores": pd.concat(rows, ignore_index=True)})


def _mean(place: Place, seed: int) -> dict[str, float]:
    """The harmonic mean (of 1) over queries that have one in every seed, with a 95 % interval over queries and seeds, and the
    mean multiplier: seeds lose equal utility, and write best, at multipliers of their own."""
    values = np.array(place.values)
    values = values[:, np.isfinite(values).all(axis=0)]
    n_seeds, n = values.shape
    about = {"multiplier": float(np.mean(place.multipliers)), "n_seeds": n_seeds, "n_queries": n}
    if n < 2:
        return about | dict.fromkeys(("value", "low", "high"), np.nan)
    again = resampled_means(values.mean(axis=0)[None], N_RESAMPLES, seed)[:, 0]
    found = SeedsEstimate.of(values.mean(axis=1), again, n)
    ends = found.interval()
    return about | {"value": found.estimate, "low": max(0.0, ends.low), "high": min(1.0, ends.high)}


def places(sweep: Sweep) -> dict[str, float]:
    """The multipliers at which a steer's text is compared, of those that were swept, and m = 0, of which nothing is claimed."""
    (spent,) = exceeded(sweep.multipliers, sweep.lost.mean(axis=1)[None], np.array([USEFUL]), 1)
    at = {UNSTEERED: 0.0, "m = 1": 1.0, "equal utility": float(spent)}
    return {part: m for part, m in at.items() if m <= sweep.multipliers[-1]}


def _judge(
    key: Key, part: str, rival: str, split: list[Float[ndarray, " queries"]], other: list[Float[ndarray, " queries"]],
    judge: str, seed: int,
) -> Claim:  # fmt: skip
    control = f"{rival}, by the judge {judge} on the same queries"
    if not other:
        because = f"{rival} was not swept far enough for this comparison. Sweep further."
        return undecided(NAME, part, key, UNIT, because, control, rival)
    n_seeds = max(len(split), len(other))
    apart = np.array([split[seed % len(split)] - other[seed % len(other)] for seed in range(n_seeds)])
    there = np.isfinite(apart).all(axis=0)
    if (n := int(there.sum())) < MIN_PAIRS:
        because = f"{n} queries have scores of both; {MIN_PAIRS} are needed. Judge more texts."
        return undecided(NAME, part, key, UNIT, because, control, rival)
    apart = apart[:, there]
    mean = apart.mean(axis=0)
    found = SeedsEstimate.of(apart.mean(axis=1), resampled_means(mean[None], N_RESAMPLES, seed)[:, 0], n)
    alone, interval = n_seeds == 1, found.interval()
    outcome = Outcome.INCONCLUSIVE
    if not alone and 0 not in interval:
        outcome = Outcome.SUPPORTED if interval.low > 0 else Outcome.REFUTED
    scores = [float(np.mean([values[there].mean() for values in some])) for some in (split, other)]
    because = (
        f"By {judge}, the harmonic mean is {scores[0]:.2f} under SPLIT and {scores[1]:.2f} under {rival}, over {n} queries and "
        f"{f'{n_seeds} training seeds' if n_seeds > 1 else 'one training seed'}. The difference is {told(found)}."
        f"{ONE_SEED * alone}"
    )
    p = float("nan") if alone else found.p_value
    return Claim(NAME, part, key, found.estimate, UNIT, interval, control, outcome, because, p, against=rival)
