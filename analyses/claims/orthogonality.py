"""Steering moves preference and hardly utility: ω_uᵀΔh ≈ 0 (arXiv 2602.02343, eqs. 13-17).

Two things are asked of a steer at m = 0, and only both together support the paper:

- `small`: utility changes by at most a tenth of what preference does, by the steer's own slopes. This is a test of
  equivalence: a steer of which little is known is not thereby small.
- `special`: its effect on utility is smaller than that of nearly all directions of equal norm with the activations'
  covariance. In many dimensions any two directions are nearly orthogonal, and a model trained to convergence has a mean
  gradient near zero: where every direction hardly moves utility, that the steer hardly does says nothing of steering.

ω_u is the mean over pairs of the gradients of utility by a shift at the site, and the doubt is that of pairs drawn
again, each time with their own ω_u and Δh. Noise in ω_u lengthens what random directions do to utility, so that any
steer would seem special beside them: they are brought down to the part of it that is no noise, and nothing is
concluded where noise is most of it. Whether a study could find either is tried on its own pairs: *small*, when their slopes
of utility are moved so that their mean is zero; *special*, when ω_u is turned across the mean shift.

A regression of the unsteered log-odds on activations is no second readout. Even with the two texts of a pair apart it
reads what texts say, not what a shift does. On 1,600 pairs of the guestbook it predicts pairs left out better than length
does (by an R² of 0.68 for the likelier text, 0.28 for the difference of two), but an effect on preference of 0.02 nats per
unit of m where 0.16 are measured, and on utility of 0.15 where none is.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from mechsteer.statistics.intervals import ConfidenceInterval, percentile_interval, resampled_with
from mechsteer.statistics.judging import Claim, Outcome, judge, p_value

from ..evidence.evidence import Evidence
from .manifold_exists import gaussian_like
from .power import N_PLANTED_RESAMPLES, Power, if_powerful, power_over_pairs
from .result import Result, undecided
from .tokens import if_enough

NAME = "orthogonality"
ORDER = 60
THEME = "mechanism"
VERSION = 2
TITLES = {
    "small": "Steering changes utility little beside preference",
    "special": "The shift changes utility less than random directions of equal norm",
}
FIGURE = "orthogonality"
UNITS = {"small": "nats of utility / nat of preference", "special": "rank among random directions"}

SMALL = 0.1
"""Largest effect on utility, as a share of that on preference, that is neglected beside it: at the end of a linear region
that gains five nats it makes half a nat, all that the useful range allows to be lost."""
SPECIAL = 0.05
"""Rank below which an effect is smaller than that of nearly all directions; one direction in twenty has it by luck."""
EQUIVALENCE = 0.9
"""Of the interval by which a ratio is found small: two one-sided tests at 5 %. A refutation may come from both sides, and so
takes the interval of 95 %; and so does all that is said of a rank, whose null is drawn itself, from a sample of tokens."""
SURE = 0.99
"""Of the interval of preference's slope, which must leave out zero: otherwise resamples divide by nothing."""
LEAST_SIGNAL = 0.5
"""Least share of what random directions do to utility (squared) that is no noise; with less, how much is hardly known."""
COMMON = 0.95
"""Share of directions of which what is true is said of nearly every direction."""
N_RANDOM = 10_000
"""Of which 500 lie below the rank that decides, so that it is known to within 0.002."""
N_RESAMPLES = 2000
"""Twice as many as for an interval: ratios and ranks are skewed, so p-values down to 0.01 are counted."""
N_PLANTED_RANDOM = 1000
"""For planted truths, which are judged a hundred times: a rank of `SPECIAL` is then known to within 0.007."""


@dataclass(frozen=True, eq=False)
class Effects:
    """What the steer and random directions do at m = 0 (nats per unit of m); first of all pairs, then of pairs drawn again."""

    utility: Float[ndarray, " draws"]
    preference: Float[ndarray, " draws"]
    projection: Float[ndarray, " draws"]
    """ω_uᵀΔh of the means: the slope of utility itself where the shift is the same for all tokens."""
    rank: Float[ndarray, " draws"]
    """Share of random directions that move utility at most as much; with the projection's sign, for what may be either way
    by noise alone is not thereby more than nothing."""
    random: Float[ndarray, " random"]
    """By how much random directions of the steer's norm move utility, noise taken off."""
    signal: float
    """Share of the square of what random directions do to utility that is no noise."""
    n_pairs: int

    @property
    def ratio(self) -> Float[ndarray, " draws"]:
        return _ratio(self.utility, self.preference)

    @property
    def as_small(self) -> float:
        """Share of random directions that move utility by less than a small part of what the steer moves preference."""
        return float(np.mean(self.random <= SMALL * abs(self.preference[0])))


def run(evidence: Evidence) -> Result:
    """Two claims: the effect on utility beside that on preference, and beside that of random directions."""
    found = effects(evidence)
    if found is None:
        nothing = "No two pairs have a utility, so ω_u is undefined. Use losses summed over tokens."
        return Result(tuple(undecided(NAME, part, evidence.key, UNITS[part], nothing) for part in TITLES))
    small = _small(evidence, found)
    claims = (small, _special(evidence, found, small.outcome is Outcome.SUPPORTED))
    tables = {"effects": _table(found), "random": pd.DataFrame({"effect": found.random})}
    return Result(tuple(if_enough(found.n_pairs, claim) for claim in claims), tables)


def effects(evidence: Evidence) -> Effects | None:
    """From the gradients and slopes that automatic differentiation finds; None of fewer than two pairs with a utility."""
    parts = _by_pair(evidence)
    if (n_pairs := len(parts)) < 2:
        return None
    rng = np.random.default_rng(evidence.seed)
    drawn = rng.multinomial(n_pairs, np.full(n_pairs, 1 / n_pairs), size=N_RESAMPLES)
    return _effects(parts, drawn, _random_directions(evidence, N_RANDOM, rng))


def _by_pair(evidence: Evidence) -> Float[ndarray, "pairs parts"]:
    """Of each pair whose utility is defined: the gradient of utility, Δh, and the slopes of utility and preference."""
    parts = np.concatenate([evidence.gradient_utility, evidence.delta], axis=1)
    parts = np.column_stack([parts, evidence.slope_utility, evidence.slope_preference]).astype(np.float64)
    return parts[np.isfinite(parts).all(axis=1)]


def _random_directions(evidence: Evidence, n: int, rng: np.random.Generator) -> Float[ndarray, "n d"]:
    learning = evidence.layers[evidence.site_layer].learning
    random = gaussian_like(learning, n, rng) - learning.mean(axis=0, dtype=np.float64)
    return random / np.maximum(np.linalg.norm(random, axis=1, keepdims=True), np.finfo(float).tiny)


def _effects(
    parts: Float[ndarray, "pairs parts"], drawn: Int[ndarray, "draws pairs"], random: Float[ndarray, "n d"]
) -> Effects:
    """Of all pairs, and of pairs each taken as often as it was drawn."""
    n_pairs = len(parts)
    means = np.concatenate([np.ones((1, n_pairs), dtype=drawn.dtype), drawn]) @ parts / n_pairs
    omega, delta = np.split(means[:, :-2], 2, axis=1)
    # In float32: it is counted how many are larger, and there are millions.
    along = random.astype(np.float32) @ omega.T.astype(np.float32)
    square = float(np.mean(along[:, 0] ** 2, dtype=np.float64))
    noise = float(np.mean((along[:, 1:] - along[:, :1]) ** 2, dtype=np.float64))
    signal = max(1 - noise / square, 0.0) if square > 0 else 0.0
    projection, lengths = np.sum(omega * delta, axis=1), np.linalg.norm(delta, axis=1)
    # Pairs drawn again bring their noise once more. Of what is mostly noise, nothing is concluded and none taken off.
    if signal >= LEAST_SIGNAL:
        lengths *= np.sqrt(signal * square / np.append(square, np.full(len(drawn), square + noise)))
    # At most as much, not less: a shift of nothing is no special one.
    rank = np.mean(np.abs(along) * lengths.astype(np.float32) <= np.abs(projection), axis=0)
    rank *= np.where(projection < 0, -1, 1)
    return Effects(
        utility=means[:, -2],
        preference=means[:, -1],
        projection=projection,
        rank=rank,
        random=np.abs(along[:, 0]).astype(np.float64) * lengths[0],
        signal=signal,
        n_pairs=n_pairs,
    )


def _ratio(utility: Float[ndarray, " draws"], preference: Float[ndarray, " draws"]) -> Float[ndarray, " draws"]:
    """Nats of utility per nat of preference; NaN throughout where preference may not change at all."""
    if 0 in percentile_interval(preference[1:], SURE):
        return np.full_like(utility, np.nan)
    return utility / preference


def _judge_small(ratio: Float[ndarray, " draws"]) -> Outcome:
    if judge(percentile_interval(ratio[1:], EQUIVALENCE), (-SMALL, SMALL)) is Outcome.SUPPORTED:
        return Outcome.SUPPORTED
    refuted = judge(percentile_interval(ratio[1:]), (-SMALL, SMALL)) is Outcome.REFUTED
    return Outcome.REFUTED if refuted else Outcome.INCONCLUSIVE


def _judge_special(found: Effects) -> Outcome:
    if found.signal < LEAST_SIGNAL:
        return Outcome.INCONCLUSIVE
    return judge(percentile_interval(found.rank[1:]), (-SPECIAL, SPECIAL))


def _power_to_be_small(evidence: Evidence) -> Power:
    slopes = _by_pair(evidence)[:, -2:].T

    def verdict(drawn: Float[ndarray, "2 pairs"], seed: int) -> Outcome:
        return _judge_small(_ratio(*resampled_with(drawn, N_PLANTED_RESAMPLES, seed).T))

    nothing = slopes - np.array([[slopes[0].mean()], [0.0]])
    return power_over_pairs("utility does not change", verdict, nothing, evidence.seed)


def _power_to_be_special(evidence: Evidence) -> Power:
    parts = _by_pair(evidence)
    random = _random_directions(evidence, N_PLANTED_RANDOM, np.random.default_rng(evidence.seed))
    omega, delta = np.split(parts[:, :-2].mean(axis=0), 2)
    planted = parts.copy()
    planted[:, : len(delta)] -= omega @ delta / max(delta @ delta, np.finfo(float).tiny) * delta

    def verdict(drawn: Float[ndarray, "parts pairs"], seed: int) -> Outcome:
        n_pairs = drawn.shape[1]
        counts = np.random.default_rng(seed).multinomial(
            n_pairs, np.full(n_pairs, 1 / n_pairs), size=N_PLANTED_RESAMPLES
        )
        return _judge_special(_effects(drawn.T, counts, random))

    return power_over_pairs("ω_u is orthogonal to the shift", verdict, planted.T, evidence.seed)


def _small(evidence: Evidence, found: Effects) -> Claim:
    ratio, allowed, unit = found.ratio, (-SMALL, SMALL), UNITS["small"]
    if np.isnan(ratio[0]):
        because = f"Preference changes by {found.preference[0]:.2g} nats per unit of m, which is not distinguishable from zero."
        return undecided(NAME, "small", evidence.key, unit, because)
    inner, interval = percentile_interval(ratio[1:], EQUIVALENCE), percentile_interval(ratio[1:])
    outcome = _judge_small(ratio)
    p = p_value(ratio[1:], allowed, outcome) * (0.5 if outcome is Outcome.SUPPORTED else 1.0)
    because = (
        f"At m = 0 utility changes by {ratio[0]:.2g} nats per nat of preference ({EQUIVALENCE:.0%} interval {inner.low:.2g} to "
        f"{inner.high:.2g}); within ±{SMALL} counts as small."
    )
    control = "the effect on preference"
    claim = Claim(NAME, "small", evidence.key, float(ratio[0]), unit, interval, control, outcome, because, p)
    return if_powerful(_power_to_be_small(evidence), claim, at_sight=Outcome.REFUTED)


def _special(evidence: Evidence, found: Effects, is_small: bool) -> Claim:
    rank, allowed, unit = found.rank, (-SPECIAL, SPECIAL), UNITS["special"]
    control = f"{N_RANDOM:,} random directions of equal norm with the activations' covariance"
    if found.signal < LEAST_SIGNAL:
        because = (
            f"{found.signal:.0%} of what random directions do to utility is signal, the rest noise; at least {LEAST_SIGNAL:.0%} "
            "is needed. Measure more pairs."
        )
        return undecided(NAME, "special", evidence.key, unit, because + _common(found, is_small), control)
    outcome, interval = _judge_special(found), _size(rank)
    because = (
        f"The shift changes utility by {abs(found.projection[0]):.2g} nats per unit of m. Of random directions of equal norm, "
        f"{abs(rank[0]):.1%} [{interval.low:.1%}, {interval.high:.1%}] change it no more; less than {SPECIAL:.0%} counts as "
        "special."
    )
    if outcome is not Outcome.SUPPORTED:
        because += _common(found, is_small)
    p = p_value(rank[1:], allowed, outcome)
    claim = Claim(NAME, "special", evidence.key, abs(float(rank[0])), unit, interval, control, outcome, because, p)
    return if_powerful(_power_to_be_special(evidence), claim, at_sight=Outcome.REFUTED)


def _common(found: Effects, is_small: bool) -> str:
    """What a small effect that is not shown to be special amounts to."""
    if not is_small:
        return ""
    of_all = ", as is that of nearly every direction," if found.as_small >= COMMON else ""
    return (
        f" The effect is small{of_all} but not shown to be special: {found.as_small:.0%} of random directions change utility by "
        "as little, beside what the steer does to preference."
    )


def _size(draws: Float[ndarray, " draws"], level: float = ConfidenceInterval.level) -> ConfidenceInterval:
    """Of what is known with its sign: the sizes that its interval holds, from zero if it holds that."""
    found = percentile_interval(draws[1:], level)
    low, high = sorted((abs(found.low), abs(found.high)))
    return ConfidenceInterval(0.0 if 0 in found else low, high, level)


def _table(found: Effects) -> pd.DataFrame:
    """Each quantity with its intervals of 95 % and of equivalence; the projection and its rank without their sign."""
    rows = []
    for name in ("utility", "preference", "ratio"):
        draws = getattr(found, name)
        rows.append((name, draws[0], *(percentile_interval(draws[1:], level) for level in (0.95, EQUIVALENCE))))
    for name in ("projection", "rank"):
        draws = getattr(found, name)
        rows.append((name, abs(draws[0]), *(_size(draws, level) for level in (0.95, EQUIVALENCE))))
    columns = ["quantity", "estimate", "low", "high", "equivalence_low", "equivalence_high"]
    values = [(name, value, outer.low, outer.high, inner.low, inner.high) for name, value, outer, inner in rows]
    return pd.DataFrame(values, columns=columns).assign(
        random_limit=np.quantile(found.random, SPECIAL), signal=found.signal, n_pairs=found.n_pairs
    )
