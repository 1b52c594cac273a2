"""One mechanism: what vectors lose of utility, by the size of their shift, predicts what a LoRA and a local weight lose.

If one decay of validity stands behind every form (arXiv 2602.02343, eqs. 4 and 12), then a form matters by the shift that it
makes and by nothing else. All steers of a study have a relative shift. The shift at which vectors lose a given amount, as their
geometric mean on each side of zero, predicts where another form should lose half a nat, the end of the useful range. Loss grows
about as the square of the shift: a fifth less of the one is a third less of the other.

It is one law only if vectors follow it too. Where the others do not predict one of them, their mean supports nothing. Power is
measured with the study's own pairs and trainings, whose scatter is redrawn around a form that loses what vectors do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import BUDGETS, USEFUL, exceeded
from mechsteer.methods.learning import methods
from mechsteer.statistics.intervals import N_RESAMPLES, ConfidenceInterval, SeedsEstimate, resampled_with
from mechsteer.statistics.judging import Claim, Outcome, interval_p_value, judge, judge_all
from mechsteer.store.keys import Key, labelled

from ..evidence.comparison import over_seeds
from .power import Power, if_powerful, power
from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "one_mechanism"
ORDER = 47
THEME = "mechanism"
SCOPE = "study"
NEEDS = "sweeps"
ACROSS = True
TITLES = {"": "The shift at which vectors lose utility predicts where other forms do"}
VERSION = 2
FIGURE = "one_mechanism"

VECTOR = "vector"
SIDES = {"m < 0": -1, "m > 0": 1}
AS_PREDICTED = (0.8, 1.25)
"""Ratios of a shift to the one predicted that count as predicted: a fifth either way."""
ALLOWED = (float(np.log(AS_PREDICTED[0])), float(np.log(AS_PREDICTED[1])))
UNIT = "shift / predicted shift, where half a nat is lost"
CONTROL = "the shifts of vectors"


@dataclass(frozen=True, eq=False)
class Reached:
    """Logarithms of the relative shifts at which a steer has lost each budget, by training seed and side; the first of all pairs,
    then of pairs drawn again. Infinite where it never does."""

    key: Key
    shifts: Float[ndarray, "seeds budgets 2 draws"]

    @property
    def mean(self) -> Float[ndarray, "budgets 2 draws"]:
        return self.shifts.mean(axis=0)

    def at(self, budget: float = USEFUL) -> Float[ndarray, "seeds 2 draws"]:
        return self.shifts[:, BUDGETS.index(budget)]


def run(sweeps: Sequence[Sweep], seed: int = 0) -> Result:
    """A claim for each steer that is no vector; none where there is no such steer, or no vector that is learned."""
    steers = _reached([sweep for sweep in sweeps if not _is_chance(sweep.method)], seed)
    vectors = [steer for steer in steers if steer.key.form == VECTOR]
    others = [steer for steer in steers if steer.key.form != VECTOR]
    if not vectors or not others:
        return Result(())
    if (n_pairs := len(sweeps[0].pairs)) < MIN_PAIRS:
        return Result(tuple(undecided(NAME, "", item.key, UNIT, too_few(n_pairs), CONTROL) for item in others))
    law = np.mean([vector.mean for vector in vectors], axis=0)
    among = _among(vectors)
    claims = tuple(_judge(steer, law[BUDGETS.index(USEFUL)], among, n_pairs, seed) for steer in others)
    return Result(claims, {"shift": _table(steers, law)})


def _is_chance(method: str) -> bool:
    known = methods()
    return method in known and bool(known[method].get("CONTROL"))


def _reached(sweeps: Sequence[Sweep], seed: int) -> list[Reached]:
    """By method and form, over all training seeds; the same pairs are drawn again of every sweep."""
    groups: dict[Key, list[Float[ndarray, "budgets 2 draws"]]] = {}
    for sweep in sweeps:
        lost, shift = (resampled_with(values, N_RESAMPLES, seed) for values in (sweep.lost, sweep.relative_shift))
        limits = [np.full(len(lost), budget) for budget in BUDGETS]
        found = np.array([[_shift_at(sweep, lost, shift, limit, sign) for sign in SIDES.values()] for limit in limits])
        groups.setdefault(over_seeds(sweep), []).append(found)
    return [Reached(key, np.array(found)) for key, found in groups.items()]


def _shift_at(
    sweep: Sweep,
    lost: Float[ndarray, "draws m"],
    shift: Float[ndarray, "draws m"],
    limit: Float[ndarray, " draws"],
    sign: int,
) -> Float[ndarray, " draws"]:
    """The logarithm of the mean relative shift where so much is first lost."""
    m = exceeded(sweep.multipliers, lost, limit, sign)
    there = [
        np.interp(at, sweep.multipliers, row) if np.isfinite(at) else np.inf for at, row in zip(m, shift, strict=True)
    ]
    return np.log(np.maximum(there, np.finfo(float).tiny))


def _among(vectors: Sequence[Reached]) -> float:
    """The factor by which the vector that is predicted worst by the others differs from that; NaN of a single one."""
    if len(vectors) < 2:
        return float("nan")
    found = np.array([vector.at().mean(axis=0)[:, 0] for vector in vectors])
    with np.errstate(invalid="ignore"):  # of a vector that never loses so much, nothing is predicted
        rest = (found.sum(axis=0) - found) / (len(found) - 1)
        return float(np.exp(np.abs(found - rest).max()))


def _judge(steer: Reached, law: Float[ndarray, "2 draws"], among: float, n_pairs: int, seed: int) -> Claim:
    with np.errstate(invalid="ignore"):
        apart = steer.at() - law
    if not np.isfinite(apart).all():
        because = f"On one side of zero {steer.key.steer} or a vector never loses half a nat. Sweep further."
        return undecided(NAME, "", steer.key, UNIT, because, CONTROL)
    by_pairs = apart[..., 1:].mean(axis=0)
    found = [SeedsEstimate.of(apart[:, side, 0], by_pairs[side], n_pairs) for side in (0, 1)]
    intervals, outcome = [item.interval() for item in found], _outcome(found)
    ps = [interval_p_value(interval, ALLOWED, outcome) for interval in intervals]
    p = float("nan")
    if outcome is Outcome.REFUTED:
        p = min(1.0, 2 * min(ps))
    elif outcome is Outcome.SUPPORTED and not among > AS_PREDICTED[1]:
        p = max(ps)
    else:
        outcome = Outcome.INCONCLUSIVE
    told = " and ".join(
        f"{np.exp(item.estimate):.2f} [{np.exp(interval.low):.2f}, {np.exp(interval.high):.2f}] ({side})"
        for side, item, interval in zip(SIDES, found, intervals, strict=True)
    )
    vectors = (
        "There is only one vector, so whether vectors predict each other is unknown."
        if np.isnan(among)
        else f"Predicted from the others, the worst vector is off by a factor of {among:.2f}."
    )
    because = (
        f"{steer.key.steer} loses half a nat at {told} times the shift at which vectors do; {AS_PREDICTED[0]:g} to "
        f"{AS_PREDICTED[1]:g} counts as predicted. {vectors}"
    )
    further = max((0, 1), key=lambda side: abs(found[side].estimate))
    interval = ConfidenceInterval(float(np.exp(intervals[further].low)), float(np.exp(intervals[further].high)))
    ratio = float(np.exp(found[further].estimate))
    claim = Claim(NAME, "", steer.key, ratio, UNIT, interval, CONTROL, outcome, because, p)
    return if_powerful(_power(found, by_pairs, seed), claim, at_sight=Outcome.REFUTED)


def _outcome(sides: Sequence[SeedsEstimate]) -> Outcome:
    """Each side by itself: as predicted if both are, and not if either is not."""
    return judge_all(judge(side.interval(), ALLOWED) for side in sides)


def _power(found: Sequence[SeedsEstimate], by_pairs: Float[ndarray, "2 draws"], seed: int) -> Power:
    luck = by_pairs - by_pairs.mean(axis=1, keepdims=True)
    of_trainings = np.sqrt(np.maximum(np.square([side.error for side in found]) - luck.var(axis=1), 0))

    def planted(rng: np.random.Generator) -> Outcome:
        drawn = luck[:, rng.integers(luck.shape[1])] + of_trainings * rng.standard_normal(2)
        return _outcome([replace(side, estimate=float(at)) for side, at in zip(found, drawn, strict=True)])

    return power("the form loses half a nat where vectors do", planted, seed)


def _table(steers: Sequence[Reached], law: Float[ndarray, "budgets 2 draws"]) -> pd.DataFrame:
    """A row for each steer, side and budget: the shift at which so much is lost, with its interval, and the one predicted."""
    parts = []
    for steer in steers:
        rows = []
        for side, sign in enumerate(SIDES.values()):
            for index, budget in enumerate(BUDGETS):
                draws = np.exp(steer.mean[index, side])
                low, high = np.quantile(draws[1:], [0.025, 0.975], method="closest_observation")
                rows.append((sign, budget, draws[0], low, high, float(np.exp(law[index, side, 0]))))
        columns = ["side", "budget", "relative_shift", "low", "high", "predicted"]
        parts.append(labelled(pd.DataFrame(rows, columns=columns).replace(np.inf, np.nan), steer.key))
    return pd.concat(parts, ignore_index=True)
