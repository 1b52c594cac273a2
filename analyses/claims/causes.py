"""Utility falls because steering leaves the manifold (arXiv 2602.02343, assumption 4.2): tested among directions of equal length.

If distance is the reason, then of two shifts that are equally long the one that leads further off must do more harm, and must do
so among shifts of which the rest of the network makes as much: the Fisher form of the output, ½ ΔᵀFΔ, holds what a shift of that
size does whatever the reason, so it is no rival but a ceiling, and is held fixed. Harm is what is written, not the loss of given
texts, which cannot tell damage from another content.

One predictor, metric, length and outcome are fixed beforehand. Directions come in families, which differ in much besides
distance, so intervals are over families and directions within them. What holds in one metric and is reversed in another is not
about the model, and stays undecided. Power is measured with the panel's own directions, distances and families: true harm is
dealt anew, mostly by distance, with as much scatter as there was, and is then measured with the panel's own error.

Neither distance nor harm is measured exactly, and error makes any correlation smaller. Where error is most of what tells the harm
of directions apart, nothing is judged. Elsewhere a correlation is called too small only if it lies below what a noticeable one
would look like through both errors. The bound is scaled rather than the estimate: a corrected correlation divides by two
uncertain reliabilities, may exceed one, and is not what was measured.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import norm, rankdata

from mechsteer.manifolds.metrics import METRICS, RAW
from mechsteer.statistics.intervals import N_RESAMPLES, percentile_interval
from mechsteer.statistics.judging import Claim, Outcome, p_value
from mechsteer.store.keys import Key, keys_in

from .power import N_PLANTED_RESAMPLES, Power, if_powerful, power
from .result import Result, undecided

NAME = "causes"
ORDER = 45
THEME = "mechanism"
NEEDS = "panel"
SCOPE = "model"
VERSION = 4
TITLES = {"": "Utility falls because the shift leaves the manifold"}
FIGURE = "causes"
UNIT = "rank correlation of distance with incoherence, given the Fisher form"

BUDGET = 0.5
"""The length by which the claim is judged: where the median direction loses so many nats."""
FOLDED = "nats per token"
"""Unit of incoherence where it is the size of a mean departure, which may go either way."""
DISTANCE, OUTCOME, CEILINGS = "neighbours", "incoherence", ("fisher", "divergence")
FREE_OF_METRIC = ("second moment", "conditional", *CEILINGS)
NOTICEABLE = 0.3
"""A correlation that is surely less explains nothing to speak of: a tenth of the ranks' variance."""
BOUNDS, EITHER, OVER = {"": (0.0, NOTICEABLE)}, ("",), "directions"
PLANTED = 0.7
"""The same of a mechanism: half of the variance, that of error aside."""
RELIABLE = 0.8
"""Least agreement (Spearman-Brown) of a distance with itself, between two halves of the tokens."""
N_MATCHED = 3
"""Next in the Fisher form that count as matched. With the next one alone, the luck of two panels in five hides an effect of one
standard deviation; of three it hides one in thirty, and they are 4 % of the ranks apart."""
HARM_RELIABLE = 0.5
"""Least of the same for incoherence: with less, most of what tells directions apart is luck. The distance must be what it says;
of harm, what error leaves of a correlation is known, and power is measured with the same error."""
N_ADDED = 200
"""Draws of the errors, added once more where a panel kept no halves of the texts: they tell a reliability to a hundredth."""
UNRELIABLE, NOT_HALVED = "The distance has a split-half reliability of", "The distance was not measured on two halves"
NOISY, NO_ERROR = "Incoherence has a reliability of", "Incoherence came without standard errors"
GATES = (UNRELIABLE, NOT_HALVED, NOISY, NO_ERROR)
"""How reasons begin for which more directions would decide nothing."""
MIN_DIRECTIONS = 40
"""The 95 % interval of a rank correlation of zero then reaches 0.3 either way, about `NOTICEABLE`: fewer could refute nothing."""


@dataclass(frozen=True, eq=False)
class Tested:
    """One distance: its correlation with the outcome, the same given the Fisher form, and the share of pairs of directions
    matched on it in which the further one does more harm; first of all directions, then of directions drawn again."""

    plain: Float[ndarray, " draws"]
    given: Float[ndarray, " draws"]
    matched: Float[ndarray, " draws"]
    reliability: float
    harm: float
    """Reliability of the outcome."""
    noticeable: tuple[float, float]
    """What a noticeable correlation is measured as, plain and given the Fisher form."""

    @property
    def is_reliable(self) -> bool:
        return self.reliability >= RELIABLE and self.harm >= HARM_RELIABLE

    @property
    def outcome(self) -> Outcome:
        """Supported where all three say so; refuted where a correlation is surely below what a noticeable one looks like."""
        plain, given, matched = (percentile_interval(draws[1:]) for draws in (self.plain, self.given, self.matched))
        if not self.is_reliable or np.isnan(plain.low):
            return Outcome.INCONCLUSIVE
        if plain.low > 0 and given.low > 0 and matched.low > 0.5:
            return Outcome.SUPPORTED
        is_small = plain.high < self.noticeable[0] or given.high < self.noticeable[1]
        return Outcome.REFUTED if is_small else Outcome.INCONCLUSIVE


def run(table: pd.DataFrame) -> Result:
    """One claim, and a table of every predictor."""
    key = keys_in(table)[0]
    rows = table.loc[table.budget == BUDGET].reset_index(drop=True)
    outcome = rows[OUTCOME].to_numpy()
    too_few = f"The panel has {len(rows)} directions; {MIN_DIRECTIONS} are needed." * (len(rows) < MIN_DIRECTIONS)
    alike = "Incoherence hardly differs between directions. Steer further, or sample more texts."
    if np.unique(outcome).size < 3:
        return Result((undecided(NAME, "", key, UNIT, too_few or alike),))
    drawn, harm = _draws(rows.family.to_numpy(), np.random.default_rng(7)), _of_harm(rows)
    tested = {
        metric: _test(rows, f"{DISTANCE}, {metric}", drawn, harm)
        for metric in METRICS
        if f"{DISTANCE}, {metric}" in rows
    }
    claim = _claim(key, rows, tested, _best_of_the_rest(rows))
    if too_few:
        gate = f"{claim.because} " * claim.because.startswith(GATES)
        claim = replace(claim, outcome=Outcome.INCONCLUSIVE, because=gate + too_few, p_value=float("nan"))
    elif tested[RAW].is_reliable:
        found = _power(rows, tested, drawn[: N_PLANTED_RESAMPLES + 1])
        # That what lies further off does less harm has been seen; that it does hardly more has not.
        claim = if_powerful(found, claim, at_sight=Outcome.REFUTED if claim.interval.high < 0 else None)
    return Result((claim,), {"predictors": _predictors(rows, drawn, harm), "directions": _shown(rows)})


def _draws(family: ndarray, rng: np.random.Generator) -> Int[ndarray, "draws directions"]:
    """How often each direction counts: once in the first row; then families drawn again, and directions within each."""
    names, of = np.unique(family, return_inverse=True)
    members = [np.flatnonzero(of == index) for index in range(len(names))]
    counts = np.ones((N_RESAMPLES + 1, len(family)), dtype=int)
    counts[1:] = 0
    for row in counts[1:]:
        for chosen in rng.integers(len(names), size=len(names)):
            np.add.at(row, rng.choice(members[chosen], len(members[chosen])), 1)
    return counts


def _test(rows: pd.DataFrame, predictor: str, drawn: Int[ndarray, "draws directions"], harm: float) -> Tested:
    x, y, z = (rows[name].to_numpy(np.float64) for name in (predictor, OUTCOME, CEILINGS[0]))
    plain, given = _correlations(x, y, z, drawn)
    reliability = _reliability(rows, predictor)
    noticeable = _noticeable(reliability, harm, _plain(x, z))
    return Tested(plain, given, _matched(x, y, z, drawn), reliability, harm, noticeable)


def _noticeable(x: float, y: float, xz: float) -> tuple[float, float]:
    """What a correlation of `NOTICEABLE` is measured as, through reliabilities x and y: √(xy) of it; given z, which is measured
    exactly, √(x'y) of it, with x' = (x - xz²) / (1 - xz²), for z takes from x what is no error.

    From y it takes as well. But what is noticeable is a share of all harm: where z explains nearly all of it, a share of the rest
    is nothing to speak of.
    """
    left = max((x - xz**2) / max(1 - xz**2, np.finfo(float).tiny), 0.0)
    return NOTICEABLE * float(np.sqrt(x * y)), NOTICEABLE * float(np.sqrt(left * y))


def _correlations(
    x: ndarray, y: ndarray, z: ndarray, drawn: Int[ndarray, "draws directions"]
) -> tuple[Float[ndarray, " draws"], Float[ndarray, " draws"]]:
    """Of ranks: plain, and given z. Ranks are those among all directions, weighted by how often each was drawn."""
    ranks = np.stack([rankdata(values) for values in (x, y, z)])
    n = drawn.sum(axis=1)
    means = drawn @ ranks.T / n[:, None]
    products = np.einsum("bn,in,jn->bij", drawn.astype(np.float64), ranks, ranks, optimize=True) / n[:, None, None]
    covariance = products - means[:, :, None] * means[:, None, :]
    deviation = np.sqrt(np.einsum("bii->bi", covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = covariance / (deviation[:, :, None] * deviation[:, None, :])
        xy, xz, yz = r[:, 0, 1], r[:, 0, 2], r[:, 1, 2]
        return xy, (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))


def _matched(x: ndarray, y: ndarray, z: ndarray, drawn: Int[ndarray, "draws directions"]) -> Float[ndarray, " draws"]:
    """Each direction with those next to it in the Fisher form: the share in which the further one does more harm."""
    order = np.argsort(z, kind="stable")
    first, second = np.concatenate([[order[:-apart], order[apart:]] for apart in range(1, N_MATCHED + 1)], axis=1)
    agree = np.sign(x[first] - x[second]) * np.sign(y[first] - y[second])
    weights = drawn[:, first] * drawn[:, second]
    with np.errstate(invalid="ignore"):
        return (weights @ ((1 + agree) / 2)) / weights.sum(axis=1)


def _reliability(rows: pd.DataFrame, predictor: str) -> float:
    """Of the whole, from what the two halves of the tokens have in common (Spearman and Brown); NaN without halves."""
    if f"{predictor} 0" not in rows:
        return float("nan")
    first, second = (rankdata(rows[f"{predictor} {half}"]) for half in (0, 1))
    if not (np.std(first) and np.std(second)):
        return 0.0
    r = float(np.corrcoef(first, second)[0, 1])
    return max(2 * r / (1 + r), 0.0) if r > -1 else 0.0


def _of_harm(rows: pd.DataFrame) -> float:
    """Reliability of incoherence between directions: of two halves of the texts, or by its standard errors in panels without.

    Errors added once more show what ranks owe to them. With true variance S and error N, ranks and noisier ranks correlate by r,
    r² = (S + N) / (S + 2N), and the reliability S / (S + N) is 2 - 1/r². That errs low: directions share the luck of their
    queries, which standard errors count and comparisons of directions do not. NaN where errors are missing.
    """
    halves = [f"{OUTCOME} {half}" for half in (0, 1)]
    if set(halves) <= set(rows) and rows[halves].notna().to_numpy().all():
        return _reliability(rows, OUTCOME)
    if f"{OUTCOME}_error" not in rows or rows[f"{OUTCOME}_error"].isna().to_numpy().any():
        return float("nan")
    measured, error = (rows[name].to_numpy(np.float64) for name in (OUTCOME, f"{OUTCOME}_error"))
    noisier = measured + error * np.random.default_rng(11).standard_normal((N_ADDED, len(rows)))
    if "harm_unit" in rows and set(rows.harm_unit) == {FOLDED}:
        noisier = np.abs(noisier)
    r = float(np.mean([_plain(measured, again) for again in noisier]))
    return max(2 - 1 / r**2, 0.0) if r > 0 else 0.0


def _named(rows: pd.DataFrame) -> list[str]:
    return [name for name in rows if ", " in name and not name.endswith((" 0", " 1"))] + list(FREE_OF_METRIC)


def _predictors(rows: pd.DataFrame, drawn: Int[ndarray, "draws directions"], harm: float) -> pd.DataFrame:
    """A row for each predictor: its correlation with each outcome, given the Fisher form, and within families."""
    found = []
    for name in _named(rows):
        tested = _test(rows, name, drawn, harm)
        ends = {"": tested.plain, "given_fisher_": tested.given, "matched_": tested.matched}
        row = {"predictor": name, "reliability": tested.reliability, "outcome_reliability": harm}
        for prefix, draws in ends.items():
            interval = percentile_interval(draws[1:][np.isfinite(draws[1:])])
            row |= {f"{prefix}estimate": draws[0], f"{prefix}low": interval.low, f"{prefix}high": interval.high}
        within = [_plain(group[name], group[OUTCOME]) for _, group in rows.groupby("family") if len(group) > 3]
        row["within_families"] = float(np.nanmean(within)) if np.isfinite(within).any() else float("nan")
        row |= {f"with_{other}": _plain(rows[name], rows[other]) for other in ("lost", "neutral_lost", "divergence")}
        found.append(row)
    return pd.DataFrame(found)


def _plain(x: Any, y: Any) -> float:
    """Rank correlation of two columns."""
    one, other = rankdata(x), rankdata(y)
    return float(np.corrcoef(one, other)[0, 1]) if np.std(one) and np.std(other) else float("nan")


def _best_of_the_rest(rows: pd.DataFrame) -> tuple[str, float]:
    """The other predictor that does best on half of the directions, and how it does on the other half; the mean both ways."""
    rest = [name for name in _named(rows) if name not in (*CEILINGS, f"{DISTANCE}, {RAW}")]
    half = rows.groupby("family").cumcount() % 2
    names, scores = [], []
    for seen in (0, 1):
        here, there = rows.loc[half == seen], rows.loc[half != seen]
        names.append(max(rest, key=lambda name, here=here: np.nan_to_num(_plain(here[name], here[OUTCOME]), nan=-2)))
        scores.append(_plain(there[names[-1]], there[OUTCOME]))
    return " and ".join(dict.fromkeys(names)), float(np.mean(scores))


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """What the figure draws of each direction."""
    return rows.loc[:, ["family", "direction", f"{DISTANCE}, {RAW}", OUTCOME, "lost", *CEILINGS]]


def _claim(key: Key, rows: pd.DataFrame, tested: dict[str, Tested], best: tuple[str, float]) -> Claim:
    first = tested[RAW]
    outcome, opposite = _outcome({metric: found.outcome for metric, found in tested.items()})
    words = f" The result depends on the metric: in the metric '{opposite}' the opposite holds." if opposite else ""
    interval = percentile_interval(first.given[1:][np.isfinite(first.given[1:])])
    because = (
        f"Among {len(rows)} directions of equal length, the median of which loses {rows.lost.median():.2g} nats, the rank "
        f"correlation between distance to the nearest neighbours and incoherence is {_told(first.plain)}; given the Fisher form "
        f"it is {_told(first.given)}. With reliabilities of {first.reliability:.2f} and {first.harm:.2f}, correlations of "
        f"{NOTICEABLE:g} would be measured as {first.noticeable[0]:.2f} and {first.noticeable[1]:.2f}. Of two directions matched "
        f"on the Fisher form, the further one does more harm in a share of {_told(first.matched)}. The best other predictor, "
        f"{best[0]}, reaches {best[1]:.2f} on held-out directions.{words}"
    )
    because = " ".join(_unreliable(first, len(rows))) or because
    return Claim(
        claim=NAME, part="", key=key, estimate=float(first.given[0]), unit=UNIT, interval=interval,
        control="directions matched on the Fisher form; two other metrics", outcome=outcome, because=because,
        p_value=_p(first, outcome),
    )  # fmt: skip


def _unreliable(first: Tested, n: int) -> Iterator[str]:
    """Why neither more directions nor other ones would decide anything; nothing where both are reliable."""
    if np.isnan(first.reliability):
        yield f"{NOT_HALVED} of the tokens, so its reliability is unknown."
    elif first.reliability < RELIABLE:
        yield f"{UNRELIABLE} {first.reliability:.2f}; at least {RELIABLE} is required. Measure more pairs."
    if np.isnan(first.harm):
        yield f"{NO_ERROR}, so its reliability is unknown."
    elif first.harm < HARM_RELIABLE:
        yield (
            f"{NOISY} {first.harm:.2f} among {n} directions; at least {HARM_RELIABLE} is required. Below that, most of a "
            "correlation with it is lost to luck. Write more texts under each direction, or steer further; more directions "
            "would not help."
        )


def _outcome(outcomes: Mapping[str, Outcome]) -> tuple[Outcome, str]:
    """That of the raw distance, undecided where another metric says the opposite; and which does."""
    opposite = {Outcome.SUPPORTED: Outcome.REFUTED, Outcome.REFUTED: Outcome.SUPPORTED}.get(outcomes[RAW])
    against = next((metric for metric, outcome in outcomes.items() if outcome is opposite), "")
    return (Outcome.INCONCLUSIVE if against else outcomes[RAW]), against


def _power(rows: pd.DataFrame, tested: Mapping[str, Tested], drawn: Int[ndarray, "draws directions"]) -> Power:
    """Of a panel in which true distance, less what it shares with the Fisher form, correlates with true harm as `PLANTED` says.

    The form's own effect and the scatter stay as they were to each other. Both distance and harm are then measured with their
    errors, so that harm is as reliable as it was.
    """
    distance, harm, form = (_scores(rows[name]) for name in (f"{DISTANCE}, {RAW}", OUTCOME, CEILINGS[0]))
    reliability, of_harm = tested[RAW].reliability, tested[RAW].harm
    by_form = np.column_stack([np.ones(len(rows)), form])
    known = np.column_stack([by_form, distance])
    fitted = np.linalg.lstsq(known, harm, rcond=None)[0]
    apart = np.sqrt(of_harm) * (harm - known @ fitted)
    own = distance - by_form @ np.linalg.lstsq(by_form, distance, rcond=None)[0]
    whole, own = (reliability**2 * float(np.var(some)) + reliability * (1 - reliability) for some in (distance, own))
    rest = fitted[1] * form + apart
    # slope² own / (slope² whole + 2 slope covariance + var rest) = PLANTED²; as near as distance's overlap with the form lets.
    room = max(own / PLANTED**2 - whole, 0.05 * own, np.finfo(float).tiny)
    covariance = reliability * float(np.cov(distance, rest, ddof=0)[0, 1])
    slope = (covariance + np.sqrt(covariance**2 + room * float(np.var(rest)))) / room
    _, family = np.unique(rows.family, return_inverse=True)
    shared = np.bincount(family, apart) / np.bincount(family)
    alone, dealt = apart - shared[family], np.sort(rows[OUTCOME].to_numpy())

    def planted(rng: np.random.Generator) -> Outcome:
        luck, error = rng.standard_normal((2, len(rows)))
        true = slope * (reliability * distance + np.sqrt(reliability * (1 - reliability)) * luck) + fitted[1] * form
        true += rng.permutation(shared)[family] + rng.permutation(alone)
        measured = np.sqrt(of_harm) * true / max(true.std(), np.finfo(float).tiny) + np.sqrt(1 - of_harm) * error
        again = rows.assign(**{OUTCOME: dealt[np.argsort(np.argsort(measured))]})
        return _outcome({
            metric: replace(_test(again, f"{DISTANCE}, {metric}", drawn, of_harm), reliability=found.reliability).outcome
            for metric, found in tested.items()
        })[0]  # fmt: skip

    truth = f"distance, less what it shares with the Fisher form, and true incoherence correlate by {PLANTED:g}"
    return power(truth, planted)


def _scores(values: Any) -> Float[ndarray, " directions"]:
    """Ranks as they would lie in a normal distribution."""
    return norm.ppf((rankdata(values) - 0.5) / len(values))


def _p(found: Tested, outcome: Outcome) -> float:
    """Of what it came to; of the likelier of both where it came to neither, so that a correction counts it."""
    if not found.is_reliable:
        return float("nan")
    least = ((found.plain, 0.0), (found.given, 0.0), (found.matched, 0.5))
    most = zip((found.plain, found.given), found.noticeable, strict=True)
    supported = max(p_value(draws[1:], (bound, np.inf), Outcome.SUPPORTED) for draws, bound in least)
    refuted = min(p_value(draws[1:], (bound, np.inf), Outcome.REFUTED) for draws, bound in most)
    of = {Outcome.SUPPORTED: supported, Outcome.REFUTED: refuted}
    return of.get(outcome, min(supported, refuted))


def _told(draws: Float[ndarray, " draws"]) -> str:
    interval = percentile_interval(draws[1:][np.isfinite(draws[1:])])
    return f"{draws[0]:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
