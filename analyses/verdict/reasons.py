"""Why a study ended as it did: reasons by name, each with its number and what to do next; the first that ends it is the chief."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from mechsteer.measuring.useful import USEFUL
from mechsteer.pairs.checks import FEW
from mechsteer.statistics.judging import Outcome

from ..claims.control import DRAWN, SHUFFLED
from ..claims.result import MIN_PAIRS
from ..claims.transfer import POOR
from ..evidence.forecast import WRONG_WAY
from ..evidence.two_options import BIAS_GAINED, CONCEPT
from ..studies.settings import n_to_find
from .facts import WORTH, Facts, nats
from .reach import Reach


class Ended(Enum):
    """How a study ended."""

    WORKED = "worked"
    FAILED = "failed"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Reason:
    """What speaks against a steer, or against the study of it."""

    name: str
    told: str
    ends: Ended | None
    """How it ends the study; None where it only limits what worked."""
    advice: str
    """What to do, in words."""
    change: Mapping[str, Any] = field(default_factory=dict)
    """What to ask of another study than was asked of this one."""
    write_at: tuple[float, ...] = ()
    """Multipliers to write with, where they are not the ends of the useful range."""


ONE_SIDED = 0.2
"""A side that gains less than a fifth of the other is no side."""
FLAT = 0.9
"""Share of the gain at half a nat lost that is there at a tenth of a nat: little is bought by the rest."""
EARLY = 0.1
MODERATE = 0.8
"""Of the range that log-odds call useful: where answers fail before so much of it, as in `validity: level`."""
MANY = 0.1
"""Share of pairs steered the wrong way, which its interval must lie above."""
LIMITS = {
    "copies": "copies", "equal query": "shared queries", "group": "no groups", "few": "few pairs",
    "lengths": "unlike lengths", "matched": "matched texts", "contradictions": "contradictions", "halves": "empty differences",
}  # fmt: skip
"""What was found of pairs and only limits, by kind: what it is called."""


def reasons_of(facts: Facts, reach: Reach) -> list[Reason]:
    """All that speak against it, those that end the study first; each kind of them in the order in which they weigh."""
    found = [reason for find in REASONS for reason in find(facts, reach)]
    return sorted(found, key=lambda reason: reason.ends is None)


def _too_few_pairs(facts: Facts, reach: Reach) -> Iterator[Reason]:
    if (n := len(facts.sweep.pairs)) < MIN_PAIRS:
        copies = facts.finding("copies")
        told = f"{n} distinct pairs were measured; at least {MIN_PAIRS} are needed to decide anything."
        told += f" {copies.found}" if copies else ""
        advice = f"Give {2 * FEW} distinct pairs or more: a study learns from half of them and measures the others."
        yield Reason("too few pairs", told, Ended.CANNOT_TELL, advice, {"limit": None})


def _no_control(facts: Facts, reach: Reach) -> Iterator[Reason]:
    if facts.chance is None and len(facts.sweep.pairs) >= MIN_PAIRS:
        claim, key = facts.claim("control"), facts.key
        told = (
            claim.because if claim else "No claims were asked of this steer, so chance was not measured at its shifts."
        )
        learned = {f"{sweep.key.method}-{sweep.key.form}" for sweep in facts.study.sweeps}
        asked = [name for name in facts.settings.get("claims", ()) if name in learned]
        change = {} if claim else {"claims": tuple(dict.fromkeys([*asked, f"{key.method}-{key.form}"]))}
        yield Reason("no control", told, Ended.CANNOT_TELL, "Measure chance.", change)


def _no_gain_measured(facts: Facts, reach: Reach) -> Iterator[Reason]:
    if facts.gained is None:
        why = facts.study.summary.get("missing", {}).get(
            "frontier", "Its sweep has no two sides on which half a nat is lost."
        )
        advice, change = "Sweep further, on both sides of zero.", {"multipliers": "auto"}
        yield Reason("gain not measured", why, Ended.CANNOT_TELL, advice, change)


def _answer_bias(facts: Facts, reach: Reach) -> Iterator[Reason]:
    """Both ways of the steer together: what it gains for the concept, and for an answer, whatever that stands for."""
    rows = facts.rows("two_options")
    if rows.empty:
        return
    answer, gained = str(rows.answer.iloc[0]), {}
    for quantity in (CONCEPT, BIAS_GAINED):
        curve = rows.loc[rows.quantity == quantity].sort_values("multiplier")
        low, high = (
            {name: float(np.interp(end, curve.multiplier, curve[name])) for name in ("estimate", "low", "high")}
            for end in reach.by_log_odds
        )
        ends = (("estimate", "estimate"), ("low", "high"), ("high", "low"))
        gained[quantity] = [(high[one] - low[other]) / 2 for one, other in ends]
    (concept, least, _), (bias, bias_low, bias_high) = gained[CONCEPT], gained[BIAS_GAINED]
    if abs(bias) <= max(concept, 0.0) or bias_low <= 0 <= bias_high:
        return
    answer = answer if bias > 0 else str(rows.other_answer.iloc[0])
    told = f"It gains {abs(bias):.2g} nats for the answer {answer}, whatever that stands for, and {concept:.2g} for the concept."
    advice = "Learn from pairs in which either answer stands for the concept as often."
    is_all = least <= 0 or facts.chance is not Outcome.SUPPORTED
    yield Reason("answer bias", told, Ended.FAILED if is_all else None, advice)


def _collapses_first(facts: Facts, reach: Reach) -> Iterator[Reason]:
    """Preference that comes only with a loss past half a nat, on both sides, where within it nothing is gained that is worth
    the name."""
    beyond = [np.flatnonzero(~facts.within & (sign * facts.sweep.multipliers > 0)) for sign in (-1, 1)]
    if facts.gained is None or facts.gained.gained >= WORTH or not all(map(len, beyond)):
        return
    best = [side[np.argmax(facts.gains[side])] for side in beyond]
    gain = float(np.mean(facts.gains[best]))
    if min(facts.gains[best]) < WORTH or gain < 2 * max(facts.gained.gained, 0.0):
        return
    lost = float(facts.sweep.lost.mean(axis=1)[best].mean())
    told = (
        f"It gains {nats(facts.gained.gained)} nats of preference before {USEFUL:g} nats of utility are lost. At most it gains "
        f"{nats(gain)} nats, for {nats(lost)} nats of utility."
    )
    ends = None if facts.chance is Outcome.SUPPORTED else Ended.FAILED
    yield Reason("utility collapses before any gain", told, ends, *_another_site(facts))


def against_chance(facts: Facts) -> str:
    """By the shift and the kind of chance at which it stands out least."""
    rows = facts.rows("claims/control-chance")
    least = rows.loc[(rows.gained / rows.upper).idxmin()]
    # Studies that are older than the interval of the ratio have the prediction interval alone.
    above = int((rows.low > 1 if "low" in rows else rows.gained > rows.upper).sum())
    own = ", of their own length," * (least.kind == SHUFFLED)
    return (
        f"at a relative shift of {least.relative_shift:.2g} it gains {least.gained:.2g} nats of preference, and "
        f"{DRAWN[least.kind]}{own} gain up to {least.upper:.2g} (95% prediction interval). It clearly gains more in "
        f"{above} of {len(rows)} comparisons."
    )


def _wrong_direction(facts: Facts, reach: Reach) -> Iterator[Reason]:
    """The whole steer, not single pairs."""
    if (gain := facts.gain_at(reach.by_log_odds)) <= -WORTH and facts.chance is not Outcome.SUPPORTED:
        told = f"Preference falls by {nats(-gain)} nats where it should rise, in the mean of both directions of m."
        advice = "See which completion of a pair stands for the concept, or steer with the opposite sign."
        yield Reason("goes the wrong way", told, Ended.FAILED, advice)


def _no_gain(facts: Facts, reach: Reach) -> Iterator[Reason]:
    if facts.chance is Outcome.REFUTED:
        yield Reason("no gain over chance", against_chance(facts), Ended.FAILED, *_another_site(facts))
    elif facts.chance is Outcome.INCONCLUSIVE:
        yield Reason("no clear gain over chance", against_chance(facts), Ended.CANNOT_TELL, *_another_site(facts))


def _invalid_texts(facts: Facts, reach: Reach) -> Iterator[Reason]:
    if (texts := reach.texts) is None:
        return
    shares = [ends / odds if odds else 1.0 for ends, odds in zip(texts.ends, reach.by_log_odds, strict=True)]
    if min(shares) >= MODERATE:
        return
    side = int(np.argmin(shares))
    end, promised, lost = texts.ends[side], reach.by_log_odds[side], facts.sweep.lost.mean(axis=1)
    at_end, gain = float(np.interp(end, facts.sweep.multipliers, lost)), facts.gain_at(reach.ends)
    worse = texts.fail
    if len(texts.scores):
        worse = f"by {texts.seen_by}, {texts.tell(promised)} at m = {promised:.3g}, and {texts.number(0.0)} unsteered"
    utility = f"{abs(at_end):.2g} nats of utility are {'gained' if at_end < 0 else 'lost'}"
    told = f"From m = {end:.3g}, where {utility}, texts get worse: {worse}. Up to there it gains {gain:.2g} nats of preference."
    yield Reason("text invalid at moderate m", told, Ended.FAILED if gain < WORTH else None, *_another_site(facts))


def _leaks(facts: Facts, reach: Reach) -> Iterator[Reason]:
    """Measured completions that were learned, or a word that tells the side: a gain would not show that the concept moved."""
    equal = facts.finding("equal completion") if facts.settings.get("test_pairs") else None
    found = (("an answer tells the side", facts.finding("answers"), {}), ("leaks", equal, {"test_pairs": None}))
    for name, finding, change in found:
        if finding is not None and facts.rows("two_options").empty:
            yield Reason(name, finding.found, Ended.CANNOT_TELL, finding.advice, change)


def where(facts: Facts, reach: Reach) -> str:
    """Where the gain is read: half a nat is lost there, or the sweep ends before."""
    lost = facts.sweep.lost.mean(axis=1)
    short = [
        f"m = {end:.3g} ({nats(abs(loss))} {'gained' if loss < 0 else 'lost'})"
        for end, loss, is_short in zip(reach.swept, (lost[0], lost[-1]), reach.is_short, strict=True)
        if is_short
    ]
    half = f"where {USEFUL:g} nats of utility are lost"
    if not short:
        return half
    return f"{half + ', or ' if len(short) == 1 else ''}up to the sweep's end{'s' * (len(short) > 1)}, {' and '.join(short)}"


def _little(facts: Facts, reach: Reach) -> Iterator[Reason]:
    """More than chance, and still not much."""
    if facts.gained is not None and facts.chance is Outcome.SUPPORTED and facts.gained.gained < WORTH:
        told = (
            f"It gains {facts.gained.gained:.2g} nats of preference {where(facts, reach)}: more than chance does, and less than "
            f"{WORTH:g} nat."
        )
        yield Reason("little gain", told, None, *_another_site(facts))


def _one_sided(facts: Facts, reach: Reach) -> Iterator[Reason]:
    if facts.gained is None:
        return
    sides = {-1: facts.gained.gained_negative, 1: facts.gained.gained_positive}
    (weak, less), (strong, more) = sorted(sides.items(), key=lambda side: side[1])
    if more > 0 and less < ONE_SIDED * more:
        told = f"Preference changes by {more:.2g} nats for {_named(strong)} and by {less:.2g} for {_named(weak)}."
        end = reach.ends[strong > 0]
        yield Reason("one-sided", told, None, f"Steer with {_named(strong)} alone.", write_at=(end,))


def _named(side: int) -> str:
    return "m>0" if side > 0 else "m<0"


def _wrong_way(facts: Facts, reach: Reach) -> Iterator[Reason]:
    """Pairs that go the other way."""
    rows = facts.rows("steerability")
    for row in rows.loc[rows.quantity == WRONG_WAY].itertuples() if len(rows) else ():
        if row.low > MANY:
            told = (
                f"{row.estimate:.0%} [{row.low:.0%}, {row.high:.0%}] of {row.n_pairs} pairs are steered the wrong way."
            )
            advice = "Look at those pairs: on the page, under 'Pair by pair'."
            yield Reason("anti-steerable pairs", told, None, advice)


def _short(facts: Facts, reach: Reach) -> Iterator[Reason]:
    """Of a range that was found there is none further."""
    asked = str(facts.settings.get("multipliers", "auto"))
    if facts.gained is None or not any(reach.is_short) or n_to_find(asked) is not None:
        return
    ends = [f"m = {end:.3g}" for end, is_short in zip(reach.swept, reach.is_short, strict=True) if is_short]
    told = f"The sweep ends at {' and '.join(ends)}, before {USEFUL:g} nats of utility are lost: what more would gain is open."
    yield Reason("sweep ends early", told, None, "Sweep further.", {"multipliers": "auto"})


def _flat(facts: Facts, reach: Reach) -> Iterator[Reason]:
    at = facts.frontier
    if all(reach.is_short):
        return
    if (
        EARLY in at.index
        and USEFUL in at.index
        and at.gained[USEFUL] > 0
        and at.gained[EARLY] > FLAT * at.gained[USEFUL]
    ):
        told = (
            f"It gains {at.gained[EARLY]:.2g} nats of preference where {EARLY:g} nats of utility are lost, and hardly more, "
            f"{at.gained[USEFUL]:.2g}, at {USEFUL:g}."
        )
        early = at.loc[EARLY, ["multiplier_negative", "multiplier_positive"]]
        yield Reason("preference flattens early", told, None, "Steer no further than there.", write_at=tuple(early))


def _does_not_transfer(facts: Facts, reach: Reach) -> Iterator[Reason]:
    claim = facts.claim("transfer", "preference")
    if claim is not None and claim.outcome is Outcome.REFUTED:
        told = (
            f"The learning pairs' curve predicts the test pairs' preference with R² = {claim.estimate:.2g}; below {POOR:g} "
            "counts as no transfer."
        )
        advice = "Learn from more pairs, like those that are measured."
        yield Reason("curves do not transfer", told, None, advice, {"limit": None})


def _of_pairs(facts: Facts, reach: Reach) -> Iterator[Reason]:
    for finding in facts.study.findings:
        if finding.kind in LIMITS and not (finding.kind == "few" and len(facts.sweep.pairs) < MIN_PAIRS):
            change = {"group": finding.groups[0]} if finding.groups else {}
            yield Reason(LIMITS[finding.kind], finding.found, None, finding.advice, change)


def _another_site(facts: Facts) -> tuple[str, dict[str, str]]:
    """Where else to steer: the next best of the sites that the study has compared, or its own choice if it had none."""
    if not facts.study.sums.has("sites.parquet"):
        return "Let the study choose the site, or name another layer.", {"site": "auto"}
    sites = facts.study.table("sites").drop_duplicates(["layer", "place"]).sort_values("useful_gain", ascending=False)
    names = (f"{layer}:{place}" for layer, place in sites[["layer", "place"]].to_numpy())
    other = next((name for name in names if name != facts.key.sites), None)
    return ("Try another layer.", {"site": other}) if other else ("Give more pairs.", {})


REASONS: tuple[Callable[[Facts, Reach], Iterator[Reason]], ...] = (
    _too_few_pairs, _no_control, _no_gain_measured, _answer_bias, _collapses_first, _wrong_direction, _no_gain,
    _invalid_texts, _leaks, _little, _one_sided, _wrong_way, _does_not_transfer, _short, _flat, _of_pairs,
)  # fmt: skip
"""In the order in which they weigh."""
