"""A verdict: how a study of a steer ended, against chance, and why; how far it is useful, what else it does, and what to do."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mechsteer.errors import InputError
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.judging import Outcome
from mechsteer.store.keys import Key

from ..studies.finished import Study
from ..studies.settings import Settings
from .facts import Facts, nats
from .flips import Flip, flip_of
from .reach import Reach, reach_of
from .reasons import Ended, Reason, against_chance, reasons_of, where

PASSED = {Outcome.REFUTED: "not passed by", Outcome.INCONCLUSIVE: "inconclusive for"}
LONGEST = 90
"""Letters of a text that are told."""


@dataclass(frozen=True)
class SideEffect:
    """What changes of another concept at both ends of the useful range (nats of its preference)."""

    measured_on: str
    below: float
    above: float

    def __str__(self) -> str:
        return f"{self.measured_on} {self.below:+.2g} (m<0), {self.above:+.2g} (m>0)"


@dataclass(frozen=True, eq=False)
class Verdict:
    """Of one steer of a finished study."""

    key: Key
    ended: Ended
    reasons: tuple[Reason, ...]
    """What speaks against it; the first is the chief one."""
    against_chance: str
    gain: tuple[float, float, float] | None
    """Of preference where half a nat is lost, the mean of both directions (nats), with its interval; None if not measured."""
    gained: str
    useful: Reach
    side_effects: tuple[SideEffect, ...]
    flip: Flip | None
    next_words: str
    next_command: str
    """"" where there is nothing to run."""

    @property
    def chief(self) -> Reason | None:
        """Why it ended so; of what worked, what limits it most."""
        return self.reasons[0] if self.reasons else None

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        ended, chief = self.ended.value.upper(), self.chief.name if self.chief else ""
        if self.ended is Ended.WORKED:
            return f"{ended}, but {chief}" if chief else f"{ended}: preference is gained beyond chance"
        return f"{ended}: {chief}"

    @property
    def rows(self) -> list[tuple[str, str]]:
        """All of it in labelled sentences, in the order in which a reader needs them."""
        worked = self.ended is Ended.WORKED
        rows = [("against chance", self.against_chance)]
        if self.chief and self.chief.told not in self.against_chance:
            rows.append(("limit" if worked else "because", self.chief.told))
        rows.append(("gained", self.gained))
        if others := [reason.name for reason in self.reasons[1:]]:
            rows.append(("also", ", ".join(others)))
        rows.append(("useful range" if worked else "range", f"{self.useful}."))
        effects = "; ".join(map(str, self.side_effects))
        rows.append(("side effects", f"{effects} nats of preference" if effects else "none measured (--other-pairs)"))
        rows += self.texts
        return [*rows, ("next", " ".join(filter(None, (self.next_words, self.next_command))))]

    @property
    def texts(self) -> list[tuple[str, str]]:
        """A query and three texts, each by its multiplier."""
        if self.flip is None:
            return []
        same = "" if self.flip.is_flip else "  (no query's texts flip)"
        query = " ".join(self.flip.query.split())
        shown = [(f"m = {m:+.3g}" if m else "m = 0", " ".join(text.split())) for m, text in self.flip.texts.items()]
        return [("texts", _clipped(query) + same), *((label, _clipped(text) or "(nothing)") for label, text in shown)]

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        (low, high), shifts, texts = self.useful.ends, self.useful.shifts, self.useful.texts
        return {
            "steer": self.key.steer,
            "key": self.key.columns(),
            "ended": self.ended.value,
            "headline": self.headline,
            "told": [{"label": label, "words": words} for label, words in self.rows],
            "reasons": [
                {"name": reason.name, "told": reason.told, "advice": reason.advice, "ends": reason.ends and reason.ends.value}
                for reason in self.reasons
            ],
            "against_chance": self.against_chance,
            "gain": self.gain and dict(zip(("estimate", "low", "high"), self.gain, strict=True)),
            "gained": self.gained,
            "useful": {
                "low": low, "high": high, "relative_shift_low": shifts[0], "relative_shift_high": shifts[1],
                "ended_by": self.useful.ended_by, "told": str(self.useful),
                "texts": texts and {"seen_by": texts.seen_by, "low": _if_finite(texts.ends[0]),
                                    "high": _if_finite(texts.ends[1]),
                                    "scores": [_if_finite(texts.at(m)) for m in (low, 0.0, high)]},
            },
            "side_effects": [vars(effect) for effect in self.side_effects],
            "texts": self.flip and {"query": self.flip.query, "flip": self.flip.is_flip,
                                    "by_multiplier": [{"multiplier": m, "text": text} for m, text in self.flip.texts.items()]},
            "next": {"words": self.next_words, "command": self.next_command},
        }  # fmt: skip


def verdicts_of(study: Study) -> list[Verdict]:
    """Of every steer of which claims were asked; of the first steer where there is none."""
    return [verdict_of(study, sweep) for sweep in judged_sweeps(study)]


def judged_sweeps(study: Study) -> Sequence[Sweep]:
    """The sweeps of the steers that claims were asked of, the first of all where none was."""
    judged = [sweep for sweep in study.sweeps if sweep.key in study.judged]
    return judged or study.sweeps[:1]


def verdict_of(study: Study, sweep: Sweep, at: Path | None = None) -> Verdict:
    """The verdict on one steer; commands name the study's folder, or that which it is `at` for who reads them."""
    facts = Facts(study, sweep)
    reach = reach_of(facts)
    reasons = reasons_of(facts, reach)
    ended = reasons[0].ends if reasons and reasons[0].ends else Ended.WORKED
    flip = flip_of(facts, reach)
    words, command = _next(facts, reach, ended, reasons, flip, study.folder if at is None else at)
    row = facts.gained
    gain = None if row is None else (float(row.gained), float(row.low), float(row.high))
    return Verdict(
        key=sweep.key, ended=ended, reasons=tuple(reasons), against_chance=_against_chance(facts), gain=gain,
        gained=_gained(facts, reach), useful=reach, side_effects=tuple(_side_effects(facts, reach)), flip=flip,
        next_words=words, next_command=command,
    )  # fmt: skip


def _against_chance(facts: Facts) -> str:
    claim = facts.claim("control")
    if claim is None or facts.chance is None:
        because = f" {claim.because}" if claim else ""
        return f"not measured for {facts.key.steer}.{because}"
    if facts.chance is not Outcome.SUPPORTED:
        return f"{PASSED[facts.chance]} {facts.key.steer}: {against_chance(facts)}"
    interval = f"[{claim.interval.low:.2g}, {claim.interval.high:.2g}]"
    words = f"which gains {claim.estimate:.2g} {interval} times the upper 95% prediction limit of chance."
    return f"passed by {facts.key.steer}, {words}"


def _gained(facts: Facts, reach: Reach) -> str:
    row = facts.gained
    if row is None:
        return "not measured."
    shares = [
        f"{share:.0%}"
        for share in facts.sweep.accuracy_at(np.array([row.multiplier_negative, 0.0, row.multiplier_positive]))
    ]
    gained, low, high, below, above = (
        nats(value) for value in (row.gained, row.low, row.high, row.gained_negative, row.gained_positive)
    )
    within, at_ends = "", facts.gain_at(reach.ends)
    if at_ends < 0:
        within = f" At the ends of the range it loses {nats(-at_ends)}."
    elif reach.ends != reach.by_log_odds:
        within = f" Within the useful range, which ends earlier, it gains {nats(at_ends)}."
    return (
        f"{gained} nats of preference [{low}, {high}] {where(facts, reach)}: {below} for m<0, {above} for m>0. "
        f"Of {len(facts.sweep.pairs)} pairs, {shares[1]} prefer the concept unsteered, {shares[0]} for m<0 and {shares[2]} for "
        f"m>0.{within}"
    )


def _side_effects(facts: Facts, reach: Reach) -> list[SideEffect]:
    """The largest first."""
    rows = facts.side_effects(reach.ends)
    if rows.empty:
        return []
    found = [
        SideEffect(str(name), *map(float, some.preference_change))
        for name, some in rows.groupby("measured_on", sort=False)
    ]
    return sorted(found, key=lambda effect: -max(abs(effect.below), abs(effect.above)))


def _next(
    facts: Facts, reach: Reach, ended: Ended, reasons: Sequence[Reason], flip: Flip | None, folder: Path
) -> tuple[str, str]:
    """What to do about the chief reason; with what worked and needs no other study, to write."""
    chief = reasons[0] if reasons else None
    another = _another(facts, chief, folder) if chief else ""
    if chief and (another or ended is not Ended.WORKED):
        return chief.advice, another or _look_at_pairs(facts)
    multipliers = sorted({0.0, *((chief.write_at if chief else ()) or reach.ends)})
    file = folder / "interventions" / f"{facts.key.slug}.safetensors"
    query = shlex.quote(" ".join((flip.query if flip else "").split()) or "your text")
    return (
        f"{chief.advice} Write with it:" if chief else "Write with it:",
        f"mechsteer generate --intervention {_quoted(file)} --multipliers={','.join(f'{m:.3g}' for m in multipliers)} -- {query}",
    )


def _another(facts: Facts, reason: Reason, folder: Path) -> str:
    """The study that was done, asked otherwise; "" where it would be the same."""
    settings = _settings(facts)
    try:
        changed = settings and replace(settings, **reason.change)
    except InputError:
        return ""
    if changed is None or changed == settings:
        return ""
    again = folder.parent / f"{folder.name or 'study'}-again"
    return f"{changed.command} --out {_quoted(again)}"


def _look_at_pairs(facts: Facts) -> str:
    settings = _settings(facts)
    return settings.pairs_command if settings else ""


def _settings(facts: Facts) -> Settings | None:
    """None where members or files of that study are not here; it can be told of all the same."""
    try:
        return Settings.from_dict(facts.settings) if facts.settings else None
    except InputError:
        return None


def _if_finite(value: float) -> float | None:
    """For JSON, which has neither: an end that texts never reach, a score that nobody gave."""
    return value if math.isfinite(value) else None


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rstrip()} …"
