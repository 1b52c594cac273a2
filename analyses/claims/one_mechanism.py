"""One mechanism: what vectors lose of utility, by the size of their shift, predicts what a LoRA and a local weight lose.

If one decay of validity stands behind every form (arXiv 2602.02343, eqs. 4 and 12), then a form matters by the shift that it
makes and by nothing else. All steers of a study have a relative shift. The shift at which vectors lose a given amount, as their
geometric mean, predicts where another form should lose half a nat, the end of the useful range. Loss grows about as the square
of the shift: a fifth less of the one is a third less of the other.

Each side of zero is a claim of its own, so that studies are compared side by side, and each is judged by the logarithm of the
ratio, whose mean over studies is a ratio again. Training seeds are paired: a training is held against vectors of the same seed.

It is one law only if vectors follow it too. Where the others do not predict one of them, their mean supports nothing. Power is
measured with the study's own pairs and trainings, whose scatter is redrawn around a form that loses what vectors do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray
from scipy.stats import t as student

from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import BUDGETS, USEFUL, exceeded
from mechsteer.methods.learning import methods
from mechsteer.statistics.intervals import N_RESAMPLES, SeedsEstimate, resampled_with
from mechsteer.statistics.judging import Claim, Outcome, judge
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
TITLES = {
    "m < 0": "Below zero, the shift at which vectors lose utility predicts where other forms do",
    "m > 0": "Above zero, the shift at which vectors lose utility predicts where other forms do",
}
VERSION = 3
FIGURE = "one_mechanism"

VECTOR = "vector"
SIDES = dict(zip(TITLES, (-1, 1), strict=True))
AS_PREDICTED = (0.8, 1.25)
"""Ratios of a shift to the one predicted that count as predicted: a fifth either way."""
ALLOWED = (float(np.log2(AS_PREDICTED[0])), float(np.log2(AS_PREDICTED[1])))
UNIT = "log₂(shift / predicted shift), where half a nat is lost"
CONTROL = "the shifts of vectors"


@dataclass(frozen=True, eq=False)
class Reached:
    """Logarithms (base 2) of the relative shifts at which a steer has lost each budget, by training and side; the first of all
    pairs, then of pairs drawn again. Infinite where it never does."""

    key: Key
    seeds: tuple[int | None, ...]
    shifts: Float[ndarray, "seeds budgets 2 draws"]

    @property
    def mean(self) -> Float[ndarray, "budgets 2 draws"]:
        return self.shifts.mean(axis=0)

    @property
    def useful(self) -> Float[ndarray, "seeds 2 draws"]:
        """Where half a nat is lost."""
        return self.shifts[:, BUDGETS.index(USEFUL)]

    def under(self, seed: int | None) -> Float[ndarray, "2 draws"]:
        """The same of the training with this seed; the mean of all where there is none."""
        return self.useful[self.seeds.index(seed)] if seed in self.seeds else self.useful.mean(axis=0)


def run(sweeps: Sequence[Sweep], seed: int = 0) -> Result:
    """A claim for each side of each steer that is no vector; none where there is no such steer, or no vector that is learned."""
    steers = _reached([sweep for sweep in sweeps if not _is_chance(sweep.method)], seed)
    vectors = [steer for steer in steers if steer.key.form == VECTOR]
    others = [steer for steer in steers if steer.key.form != VECTOR]
    if not vectors or not others:
        return Result(())
    if (n_pairs := len(sweeps[0].pairs)) < MIN_PAIRS:
        because = too_few(n_pairs)
        return Result(
            tuple(undecided(NAME, part, item.key, UNIT, because, CONTROL) for item in others for part in TITLES)
        )
    among = _among(vectors)
    claims = tuple(
        _judge(steer, part, apart[:, side], float(among[side]), n_pairs, seed)
        for steer in others
        for apart in [_apart(steer, vectors)]
        for side, part in enumerate(TITLES)
    )
    return Result(claims, {"shift": _table(steers, np.mean([vector.mean for vector in vectors], axis=0))})


def _is_chance(method: str) -> bool:
    known = methods()
    return method in known and bool(known[method].get("CONTROL"))


def _reached(sweeps: Sequence[Sweep], seed: int) -> list[Reached]:
    """By method and form, over all training seeds; the same pairs are drawn again of every sweep."""
    groups: dict[Key, list[tuple[int | None, Float[ndarray, "budgets 2 draws"]]]] = {}
    for sweep in sweeps:
        lost, shift = (resampled_with(values, N_RESAMPLES, seed) for values in (sweep.lost, sweep.relative_shift))
        limits = [np.full(len(lost), budget) for budget in BUDGETS]
        found = np.array([[_shift_at(sweep, lost, shift, limit, sign) for sign in SIDES.values()] for limit in limits])
        groups.setdefault(over_seeds(sweep), []).append((sweep.key.seed, found))
    return [
        Reached(key, tuple(seed for seed, _ in found), np.array([shifts for _, shifts in found]))
        for key, found in groups.items()
    ]


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
    return np.log2(np.maximum(there, np.finfo(float).tiny))


def _apart(steer: Reached, vectors: Sequence[Reached]) -> Float[ndarray, "seeds 2 draws"]:
    """How far each training lies from the vectors of its seed: not finite where one of them never loses half a nat."""
    law = [np.mean([vector.under(seed) for vector in vectors], axis=0) for seed in steer.seeds]
    with np.errstate(invalid="ignore"):
        return steer.useful - np.array(law)


def _among(vectors: Sequence[Reached]) -> Float[ndarray, " 2"]:
    """On each side, the factor by which the vector that the others predict worst differs from that; NaN of a single one."""
    if len(vectors) < 2:
        return np.full(len(SIDES), np.nan)
    found = np.array([vector.useful.mean(axis=0)[:, 0] for vector in vectors])
    with np.errstate(invalid="ignore"):  # of a vector that never loses so much, nothing is predicted
        rest = (found.sum(axis=0) - found) / (len(found) - 1)
        return np.exp2(np.abs(found - rest).max(axis=0))


def _judge(
    steer: Reached, part: str, apart: Float[ndarray, "seeds draws"], among: float, n_pairs: int, seed: int
) -> Claim:
    if not np.isfinite(apart).all():
        because = f"Where {part}, {steer.key.steer} or a vector never loses half a nat. Sweep further."
        return undecided(NAME, part, steer.key, UNIT, because, CONTROL)
    over_pairs = apart[:, 1:].mean(axis=0)
    found = SeedsEstimate.of(apart[:, 0], over_pairs, n_pairs)
    interval, p = found.interval(), _p_value(found)
    outcome = judge(interval, ALLOWED)
    if outcome is Outcome.SUPPORTED and among > AS_PREDICTED[1]:
        # That vectors follow one law is part of what is claimed.
        outcome, p = Outcome.INCONCLUSIVE, 1.0
    ratio, low, high = np.exp2([found.estimate, interval.low, interval.high])
    vectors = (
        "There is only one vector, so whether vectors predict each other is unknown."
        if np.isnan(among)
        else f"Predicted from the others, the worst vector is off by a factor of {among:.2f}."
    )
    because = (
        f"Where {part}, {steer.key.steer} loses half a nat at {ratio:.2f} [{low:.2f}, {high:.2f}] times the shift at which "
        f"vectors do; {AS_PREDICTED[0]:g} to {AS_PREDICTED[1]:g} counts as predicted. {vectors}"
    )
    claim = Claim(NAME, part, steer.key, found.estimate, UNIT, interval, CONTROL, outcome, because, p)
    return if_powerful(_power(found, over_pairs, seed), claim, at_sight=Outcome.REFUTED)


def _p_value(found: SeedsEstimate) -> float:
    """Of lying on the other side of the nearest bound, by the distribution that the interval is of."""
    nearest = min(abs(found.estimate - bound) for bound in ALLOWED)
    return float(2 * student.sf(nearest / max(found.error, np.finfo(float).tiny), found.freedom))


def _power(found: SeedsEstimate, over_pairs: Float[ndarray, " draws"], seed: int) -> Power:
    luck = over_pairs - over_pairs.mean()
    of_trainings = np.sqrt(max(found.error**2 - luck.var(), 0))

    def planted(rng: np.random.Generator) -> Outcome:
        estimate = float(rng.choice(luck) + of_trainings * rng.standard_normal())
        return judge(replace(found, estimate=estimate).interval(), ALLOWED)

    return power("the form loses half a nat where vectors do", planted, seed)


def _table(steers: Sequence[Reached], law: Float[ndarray, "budgets 2 draws"]) -> pd.DataFrame:
    """A row for each steer, side and budget: the shift at which so much is lost, with its interval, and the one predicted."""
    parts = []
    for steer in steers:
        rows = []
        for side, sign in enumerate(SIDES.values()):
            for index, budget in enumerate(BUDGETS):
                draws = np.exp2(steer.mean[index, side])
                low, high = np.quantile(draws[1:], [0.025, 0.975], method="closest_observation")
                rows.append((sign, budget, draws[0], low, high, float(np.exp2(law[index, side, 0]))))
        columns = ["side", "budget", "relative_shift", "low", "high", "predicted"]
        parts.append(labelled(pd.DataFrame(rows, columns=columns).replace(np.inf, np.nan), steer.key))
    return pd.concat(parts, ignore_index=True)
