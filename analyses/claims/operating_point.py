"""An operating point chosen by log-odds holds in text: it shows the concept, stays coherent, and is about the best there is.

The point is the multiplier with the most preference within half a nat of lost utility. No judge has a say in it. The best
multiplier is chosen by the judge on one half of the queries and scored on the other half: chosen and scored on the same texts, it
would look better than it is.

A concept that is shown, and text that is worse, have been observed. That the judge saw no concept, or nothing worse, counts only
where its scores have the power to show it.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.judges.scale import COHERENCE, CONCEPT
from mechsteer.measuring.useful import is_useful
from mechsteer.statistics.intervals import N_RESAMPLES, percentile_interval
from mechsteer.statistics.judging import Claim, Outcome, judge, p_value

from ..evidence.scores import OVERALL, Curves, Judged
from .judged_text import BEYOND_LUCK, MARGIN, too_few_queries
from .power import N_PLANTED_RESAMPLES, Power, if_powerful, power
from .result import Result, undecided

NAME = "operating_point"
ORDER = 53
THEME = "measurement"
NEEDS = "scores"
TITLES = {
    "concept": "At the operating point by log-odds, texts show the concept",
    "coherence": "At the operating point by log-odds, texts stay coherent",
    "best": "The operating point by log-odds is about the best",
}
FIGURE = "operating_point"
VERSION = 4
PARTS = {"concept": (MARGIN, np.inf), "coherence": (-MARGIN, np.inf), "best": (-MARGIN, np.inf)}
"""What each difference must be: more of the concept by a tenth of all, and no tenth less of the rest."""
AT_SIGHT = {"concept": Outcome.SUPPORTED, "coherence": Outcome.REFUTED, "best": Outcome.REFUTED}
TRUTHS = {
    "concept": "texts there show as much of the concept as the judge finds anywhere",
    "coherence": "texts there are as coherent as those at m = 0",
    "best": "no multiplier is better than that",
}


def run(judged: Judged, seed: int = 0) -> Result:
    """Each part as far as the judge knows the aspect."""
    at, aspects = (
        point(judged),
        {"concept": judged.aspect(CONCEPT), "coherence": judged.aspect(COHERENCE), "best": OVERALL},
    )
    claims, rows = [], []
    for part, aspect in aspects.items():
        if not aspect:
            continue
        if because := too_few_queries(judged, aspect):
            claims.append(undecided(NAME, part, judged.key, "of the scale", because, f"the judge {judged.judge}"))
            continue
        curves = judged.curves(aspect)
        chosen = int(np.argmin(np.abs(curves.multipliers - at)))
        there, other = _compared(part, curves, chosen, seed)
        claim = _judge(judged, part, aspect, at, there, other)
        if part == "concept" and not _is_found(curves):
            # The truth cannot be planted; that the concept has become less is seen all the same.
            if claim.interval.high >= 0:
                because = (
                    f"{claim.because} Nowhere is it {MARGIN:g} of the scale above m = 0, so this study cannot decide."
                )
                claim = replace(claim, outcome=Outcome.INCONCLUSIVE, because=because, p_value=1.0)
        else:
            claim = if_powerful(_power(part, curves, chosen, seed), claim, at_sight=AT_SIGHT[part])
        claims.append(claim)
        rows.append((part, aspect, at, there[0], other[0]))
    table = pd.DataFrame(rows, columns=["part", "aspect", "multiplier", "there", "other"])
    return Result(tuple(claims), {"scores": table.assign(judge=judged.judge)})


def point(judged: Judged) -> float:
    """The multiplier towards the concept with the most preference in the useful range."""
    sweep = judged.sweep
    allowed = is_useful(sweep) & (sweep.multipliers >= 0)
    return float(sweep.multipliers[int(np.argmax(np.where(allowed, sweep.preference.mean(axis=1), -np.inf)))])


def _compared(
    part: str, curves: Curves, chosen: int, seed: int, n: int = N_RESAMPLES
) -> tuple[Float[ndarray, " draws"], Float[ndarray, " draws"]]:
    """What is scored at the multiplier that was chosen (by its place), and what that is held against."""
    if part == "best":
        return cross_fitted(curves, chosen, seed, n)
    draws = curves.draws(seed, n)
    return draws[:, chosen], draws[:, curves.zero]


def cross_fitted(
    curves: Curves, chosen: int, seed: int = 0, n: int = N_RESAMPLES
) -> tuple[Float[ndarray, " draws"], Float[ndarray, " draws"]]:
    """The mean score of either half of the queries at the multiplier that was chosen (by its place), and at the one that is best
    for the other half, towards the concept; both of all queries, then of the same queries drawn again within the halves."""
    towards = curves.multipliers >= 0
    halves = [curves.only(np.arange(half, len(curves.queries), 2)).draws(seed + half, n) for half in (0, 1)]
    found = []
    for chosen_on, scored_on in (halves, halves[::-1]):
        best = np.where(towards & np.isfinite(chosen_on), chosen_on, -np.inf).argmax(axis=1)
        found.append(scored_on[np.arange(len(best)), best])
    return np.mean([half[:, chosen] for half in halves], axis=0), np.mean(found, axis=0)


def _is_found(curves: Curves) -> bool:
    """Whether the judge finds more of the concept at some multiplier than at m = 0, by as much as the claim asks."""
    means = np.nanmean(curves.values, axis=1)
    return bool(means.max() - means[curves.zero] >= MARGIN)


def _power(part: str, curves: Curves, chosen: int, seed: int) -> Power:
    """Of a verdict where mean scores are as the claim has them, and those of queries scatter around them as they do."""
    means, n = np.nanmean(curves.values, axis=1), len(curves.queries)
    true = means.copy()
    if part == "best":
        # Those that seem worse by luck may be as good, and it takes more to tell a multiplier from its equals.
        apart = (draws := curves.draws(seed, N_PLANTED_RESAMPLES)) - draws[:, [chosen]]
        is_worse = apart[0] < -BEYOND_LUCK * apart[1:].std(axis=0)
        true = np.where(is_worse, means, means[chosen])
    else:
        true[chosen] = means.max() if part == "concept" else means[curves.zero]
    values = curves.values + (true - means)[:, None]

    def planted(rng: np.random.Generator) -> Outcome:
        # Within the halves that one is chosen on and the other scored on.
        again = np.arange(n)
        for half in (again[::2], again[1::2]):
            half[:] = rng.choice(half, len(half))
        drawn = replace(curves, values=values[:, again])
        there, other = _compared(part, drawn, chosen, int(rng.integers(2**31)), N_PLANTED_RESAMPLES)
        return judge(percentile_interval((there - other)[1:]), PARTS[part])

    return power(TRUTHS[part], planted, seed)


def _judge(
    judged: Judged, part: str, aspect: str, at: float, there: Float[ndarray, " draws"], other: Float[ndarray, " draws"]
) -> Claim:
    difference, bounds = there - other, PARTS[part]
    interval = percentile_interval(difference[1:])
    outcome = judge(interval, bounds)
    elsewhere = "the multiplier that it prefers on the other half of the queries" if part == "best" else "m = 0"
    because = (
        f"At m = {at:.3g}, the operating point by log-odds, {judged.judge} scores {aspect} {there[0]:.2f}; at {elsewhere} it "
        f"scores {other[0]:.2f}."
    )
    return Claim(
        NAME, part, judged.key, float(difference[0]), "of the scale", interval, f"the judge {judged.judge}", outcome, because,
        p_value(difference[1:], bounds, outcome),
    )  # fmt: skip
