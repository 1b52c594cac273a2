"""Steering moves preference and hardly moves utility: ω_uᵀΔh ≈ 0 (arXiv 2602.02343, eqs. 13-17).

A steer is tested in two ways at m = 0, and the paper is supported only by both together:

- `small`: utility changes by at most a tenth of what preference does, by the steer's own slopes. This is a test of
  equivalence, so an effect that is merely uncertain does not count as small.
- `special`: the steer's effect on utility is smaller than that of nearly all directions of equal norm, drawn from the
  activations' covariance. In many dimensions any two directions are nearly orthogonal, and a model trained to convergence
  has a mean gradient near zero. Where every direction hardly moves utility, a steer that hardly moves it shows nothing.

ω_u is the mean over pairs of the gradient of utility with respect to a shift at the site. Intervals come from resampled
pairs, each resample with its own ω_u and Δh. Noise in ω_u inflates the effect of random directions on utility, and any steer
would look special beside them. Their effects are therefore shrunk to the part that is signal, and where noise is the larger
part nothing is concluded. Power is measured on the study's own pairs: for *small*, their slopes of utility are moved so that
the mean is zero; for *special*, ω_u is made orthogonal to the mean shift.

A regression of the unsteered log-odds on activations is not a second readout of ω_u. Even with the two texts of a pair
taken separately, it reads what texts say, not what a shift does. On 1,600 pairs of the guestbook it predicts held-out pairs
better than length does (by an R² of 0.68 for the likelier text, 0.28 for the difference of the two). But it predicts an
effect on preference of 0.02 nats per unit of m where 0.16 are measured, and one on utility of 0.15 where there is none.
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
"""Largest effect on utility, as a share of that on preference, that counts as small. At the end of a linear region that
gains five nats it amounts to half a nat, which is all that the useful range allows."""
BOUNDS = {"small": (-SMALL, SMALL)}
SPECIAL = 0.05
"""Rank below which an effect counts as smaller than that of nearly all directions: chance takes one in twenty there."""
EQUIVALENCE = 0.9
"""Level of the interval that shows a ratio to be small: two one-sided tests at 5 %. A refutation may come from either side,
so it takes the 95 % interval. A rank always does, because its null is itself drawn from a sample of tokens."""
SURE = 0.99
"""Level of the interval of preference's slope, which must exclude zero: otherwise resampled ratios divide by zero."""
LEAST_SIGNAL = 0.5
"""Least share of the squared effect of random directions on utility that is signal. With less, the share itself is uncertain."""
COMMON = 0.95
"""Share of directions that counts as nearly every direction."""
N_RANDOM = 10_000
"""500 of them lie below the deciding rank, which is then known to within 0.002."""
N_RESAMPLES = 2000
"""Twice as many as for an interval: ratios and ranks are skewed, so p-values are counted, down to 0.01."""
N_PLANTED_RANDOM = 1000
"""For simulations of known truth, which are judged a hundred times: a rank of `SPECIAL` is then known to within 0.007."""


@dataclass(frozen=True, eq=False)
class Effects:
    """What the steer and random directions do at m = 0 (nats per unit of m): first over all pairs, then over resampled pairs."""

    utility: Float[ndarray, " draws"]
    preference: Float[ndarray, " draws"]
    projection: Float[ndarray, " draws"]
    """ω_uᵀΔh of the means. Where the shift is the same for all tokens, this is the slope of utility itself."""
    rank: Float[ndarray, " draws"]
    """Share of random directions that move utility at most as much, with the projection's sign. Without the sign, noise around
    zero would read as an effect."""
    random: Float[ndarray, " random"]
    """How much random directions of the steer's norm move utility, after noise is removed."""
    signal: float
    """Share of the squared effect of random directions on utility that is signal."""
    n_pairs: int

    @property
    def ratio(self) -> Float[ndarray, " draws"]:
        return _ratio(self.utility, self.preference)

    @property
    def as_small(self) -> float:
        """Share of random directions whose effect on utility is small beside the steer's effect on preference."""
        return float(np.mean(self.random <= SMALL * abs(self.preference[0])))


def run(evidence: Evidence) -> Result:
    """Two claims: the effect on utility against the effect on preference, and against that of random directions."""
    found = effects(evidence)
    if found is None:
        nothing = "No two pairs have a utility, so ω_u is undefined. Use losses summed over tokens."
        return Result(tuple(undecided(NAME, part, evidence.key, UNITS[part], nothing) for part in TITLES))
    small = _small(evidence, found)
    claims = (small, _special(evidence, found, small.outcome is Outcome.SUPPORTED))
    tables = {"effects": _table(found), "random": pd.DataFrame({"effect": found.random})}
    return Result(tuple(if_enough(found.n_pairs, claim) for claim in claims), tables)


def effects(evidence: Evidence) -> Effects | None:
    """From gradients and slopes by automatic differentiation; None where fewer than two pairs have a utility."""
    parts = _by_pair(evidence)
    if (n_pairs := len(parts)) < 2:
        return None
    rng = np.random.default_rng(evidence.seed)
    drawn = rng.multinomial(n_pairs, np.full(n_pairs, 1 / n_pairs), size=N_RESAMPLES)
    return _effects(parts, drawn, _random_directions(evidence, N_RANDOM, rng))


def _by_pair(evidence: Evidence) -> Float[ndarray, "pairs parts"]:
    """For each pair whose utility is defined: the gradient of utility, Δh, and the slopes of utility and preference."""
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
    """Over all pairs, and over each resample, whose counts say how often a pair was drawn."""
    n_pairs = len(parts)
    means = np.concatenate([np.ones((1, n_pairs), dtype=drawn.dtype), drawn]) @ parts / n_pairs
    omega, delta = np.split(means[:, :-2], 2, axis=1)
    # float32 is enough: these millions of numbers are only compared and counted.
    along = random.astype(np.float32) @ omega.T.astype(np.float32)
    square = float(np.mean(along[:, 0] ** 2, dtype=np.float64))
    noise = float(np.mean((along[:, 1:] - along[:, :1]) ** 2, dtype=np.float64))
    signal = max(1 - noise / square, 0.0) if square > 0 else 0.0
    projection, lengths = np.sum(omega * delta, axis=1), np.linalg.norm(delta, axis=1)
    # A resample adds the noise of pairs a second time. Where noise dominates, nothing is concluded, so none is removed.
    if signal >= LEAST_SIGNAL:
        lengths *= np.sqrt(signal * square / np.append(square, np.full(len(drawn), square + noise)))
    # At most as much, not strictly less: otherwise a shift of zero would be special.
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
    """Nats of utility per nat of preference; all NaN where preference may not change at all."""
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
    """How a small effect that is not shown to be special compares with random directions."""
    if not is_small:
        return ""
    of_all = ", as it is for nearly every direction," if found.as_small >= COMMON else ""
    return (
        f" The effect is small{of_all} but not shown to be special: for {found.as_small:.0%} of random directions, the change of "
        "utility is also small beside the steer's effect on preference."
    )


def _size(draws: Float[ndarray, " draws"], level: float = ConfidenceInterval.level) -> ConfidenceInterval:
    """The absolute values that a signed quantity's interval covers, from zero if it covers zero."""
    found = percentile_interval(draws[1:], level)
    low, high = sorted((abs(found.low), abs(found.high)))
    return ConfidenceInterval(0.0 if 0 in found else low, high, level)


def _table(found: Effects) -> pd.DataFrame:
    """Each quantity with its 95 % and its equivalence interval; the projection and its rank without their sign."""
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
