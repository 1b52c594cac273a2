"""An operating point chosen by log-odds holds in text: it shows the concept, stays coherent, and is about the best there is.

The point is the multiplier with the most preference within half a nat of lost utility, in which no judge has a say. The best
there is, is what the judge finds on one half of the queries at the multiplier that it likes most on the other half: chosen and
scored on the same texts, a multiplier would profit from their luck.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.judges.scale import COHERENCE, CONCEPT
from mechsteer.measuring.useful import is_useful
from mechsteer.statistics.intervals import percentile_interval
from mechsteer.statistics.judging import Claim, judge, p_value

from ..evidence.scores import OVERALL, Curves, Judged
from .judged_text import MARGIN, N_RESAMPLES, too_few_queries
from .result import Result, undecided

NAME = "operating_point"
ORDER = 53
THEME = "measurement"
NEEDS = "scores"
TITLES = {
    "concept": "Where log-odds would steer, texts show the concept",
    "coherence": "Where log-odds would steer, texts hold together",
    "best": "Where log-odds would steer is about as good as anywhere",
}
FIGURE = "judged_text"
VERSION = 2
PARTS = {"concept": (MARGIN, np.inf), "coherence": (-MARGIN, np.inf), "best": (-MARGIN, np.inf)}
"""What each difference must be: more of the concept by a tenth of all, and no tenth less of the rest."""


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
        if part == "best":
            there, other = cross_fitted(curves, chosen, seed)
        else:
            draws = curves.draws(seed, N_RESAMPLES)
            there, other = draws[:, chosen], draws[:, curves.zero]
        claims.append(_judge(judged, part, aspect, at, there, other))
        rows.append((part, aspect, at, there[0], other[0]))
    table = pd.DataFrame(rows, columns=["part", "aspect", "multiplier", "there", "other"])
    return Result(tuple(claims), {"scores": table.assign(judge=judged.judge)})


def point(judged: Judged) -> float:
    """The multiplier towards the concept with the most preference in the useful range."""
    sweep = judged.sweep
    allowed = is_useful(sweep) & (sweep.multipliers >= 0)
    return float(sweep.multipliers[int(np.argmax(np.where(allowed, sweep.preference.mean(axis=1), -np.inf)))])


def cross_fitted(
    curves: Curves, chosen: int, seed: int = 0
) -> tuple[Float[ndarray, " draws"], Float[ndarray, " draws"]]:
    """The mean score of either half of the queries at the multiplier that was chosen (by its place), and at the one that is best
    for the other half, towards the concept; both of all queries, then of the same queries drawn again within the halves."""
    towards = curves.multipliers >= 0
    halves = [curves.only(np.arange(half, len(curves.queries), 2)).draws(seed + half, N_RESAMPLES) for half in (0, 1)]
    found = []
    for chosen_on, scored_on in (halves, halves[::-1]):
        best = np.where(towards & np.isfinite(chosen_on), chosen_on, -np.inf).argmax(axis=1)
        found.append(scored_on[np.arange(len(best)), best])
    return np.mean([half[:, chosen] for half in halves], axis=0), np.mean(found, axis=0)


def _judge(
    judged: Judged, part: str, aspect: str, at: float, there: Float[ndarray, " draws"], other: Float[ndarray, " draws"]
) -> Claim:
    difference, bounds = there - other, PARTS[part]
    interval = percentile_interval(difference[1:])
    outcome = judge(interval, bounds)
    beside = "chosen by the judge on the other half of the queries" if part == "best" else "at m = 0"
    because = (
        f"At m = {at:.3g}, where log-odds gain most for half a nat, {aspect} by {judged.judge} is {there[0]:.2f}, and "
        f"{other[0]:.2f} {beside}."
    )
    return Claim(
        NAME, part, judged.key, float(difference[0]), "of the scale", interval, f"the judge {judged.judge}", outcome, because,
        p_value(difference[1:], bounds, outcome),
    )  # fmt: skip
