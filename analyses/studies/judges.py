"""The judges of a study: who is asked, about what, and of which texts."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mechsteer import guestbook
from mechsteer.errors import InputError, shown
from mechsteer.families import JUDGES
from mechsteer.judges.asking import tokens
from mechsteer.judges.request import Request
from mechsteer.judges.scale import read_scale
from mechsteer.judges.scales import FOLDER
from mechsteer.pairs.tables import read_table
from mechsteer.paths import resolved
from mechsteer.store.reading import parsing, read_bytes
from mechsteer.store.units import Bench, Unit, in_order

from ..units.judged import Bar, Differences, Known, Reliability, Sample, Score
from ..units.steers import PairSet
from ..units.sweeps import Measure
from .settings import Settings

OURS = "ours"
INSTRUCTIONS = FOLDER.parent / "instructions.txt"
"""Ours, for models without pairs to take queries from."""


def check_judges(settings: Settings, checked: str) -> None:
    """One sentence if a judge, or a file that it needs, is not there or cannot judge this; nothing is opened for that."""
    list(bars(settings, checked))
    instructions_of(settings)
    if settings.gold:
        known_texts(settings.gold)


def scores_of(settings: Settings, sweeps: Sequence[Measure], learning: PairSet, checked: str) -> tuple[Score, ...]:
    """Of every steer by each judge that was asked for, the first judge first; `checked` is what an exact checker knows."""
    samples = [sample(settings, sweep) for sweep in sweeps]
    return tuple(Score(texts, learning, bar) for bar in bars(settings, checked) for texts in samples)


def bars(settings: Settings, checked: str) -> Iterator[Bar]:
    """The judges, if they can judge this."""
    of_checker = f"an answer as where {guestbook.language_of(checked).reveal(checked, 1)}" if checked else ""
    concept = settings.concept or of_checker
    for name in settings.judge:
        request = Request.parse(name, settings.scale)
        request.check_is_there()
        member = JUDGES[request.name]
        if member.get("CHECKS") and not checked:
            raise InputError(f"The judge {name!r} knows the guestbooks' own models and pairs alone. Choose another.")
        if member.get("ASKED") and not concept and read_scale(settings.scale).needs_concept:
            raise InputError(f"The scale {settings.scale!r} speaks of the concept. Say it in words with --concept.")
        yield Bar.of(request, concept, checked)


def sample(settings: Settings, sweep: Measure) -> Sample:
    """The texts that are judged of a steer."""
    asked = instructions_of(settings)
    return Sample(sweep, settings.queries, settings.samples, settings.text_tokens, asked, settings.seed)


def instructions_of(settings: Settings) -> tuple[str, ...]:
    """The lines of the file that was named; none where queries are the pairs'."""
    if not settings.instructions:
        return ()
    file = INSTRUCTIONS if settings.instructions == OURS else Path(resolved(settings.instructions))
    with parsing(file, "text in UTF-8"):
        lines = read_bytes(file).decode("utf-8-sig").splitlines()
    if not (asked := tuple(line for line in lines if line.strip())):
        raise InputError(f"{str(file)!r} holds no instruction. Write one in a line.")
    return asked


def reliabilities_of(settings: Settings, scores: Sequence[Score]) -> tuple[Reliability, ...]:
    """Of every judge that guesses: on all steers' texts by the exact checker, or by texts that somebody knows, on the first's."""
    known = known_texts(settings.gold) if settings.gold else ()
    guessing = [unit for unit in scores if not JUDGES[unit.bar.request.name].get("CHECKS")]
    if known:
        return tuple(Reliability(unit, known) for unit in {unit.bar: unit for unit in reversed(guessing)}.values())
    return tuple(Reliability(unit, ()) for unit in guessing if unit.bar.checked)


def differences_of(scores: Sequence[Score], reliability: Sequence[Reliability], seed: int) -> Iterator[Differences]:
    """Between steers of the first training seed, by every judge of which it is known how good it is."""
    for bar in dict.fromkeys(unit.bar for unit in reliability):
        some = tuple(unit for unit in scores if unit.bar == bar and unit.result.seed in (None, seed))
        if len(some) > 1:
            yield Differences(some, tuple(unit for unit in reliability if unit.bar == bar))


GOLD = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}
"""As tables of every kind write it."""


def known_texts(path: str) -> tuple[Known, ...]:
    """The rows of a file."""
    found = []
    for number, row in enumerate(read_table(Path(resolved(path)))):
        try:
            query, text, gold = row["query"], row["text"], str(row["gold"]).lower()
            if not isinstance(query, str) or not isinstance(text, str):
                raise ValueError("its query or its text is no text")
            if gold not in GOLD:
                raise ValueError(f"gold is {shown(gold)!r}")
            found.append(Known(query, text, GOLD[gold], _multiplier(row.get("multiplier"))))
        except (LookupError, ValueError, TypeError) as error:
            why = f"it has no {error}" if isinstance(error, LookupError) else error
            raise InputError(
                f"Row {number} (from 0) of {path!r} cannot be used ({why}). Write query, text, gold (0 or 1), and multiplier, "
                "if that is known."
            ) from error
    return tuple(found)


def _multiplier(cell: object) -> float | None:
    """None where the cell is empty."""
    value = math.nan if cell in (None, "") else float(str(cell))
    if math.isinf(value):
        raise ValueError("its multiplier is infinite")
    return None if math.isnan(value) else value


@dataclass(frozen=True)
class ToAsk:
    """What a judge has still to be asked."""

    judge: str
    url: str
    """Where texts will be sent; "" for nowhere."""
    n_questions: int
    n_tokens: int
    """About, of the questions alone."""

    def __str__(self) -> str:
        where = f"sent to {self.url}" if self.url else "asked on this machine"
        return f"{self.judge}: {self.n_questions:,} questions of about {self.n_tokens:,} tokens, {where}"


def to_ask(asking: Sequence[Score | Reliability], bench: Bench) -> list[ToAsk]:
    """Of each judge that is asked in words; what is answered already, or asked of two steers alike, is asked no more."""
    found = []
    for bar in dict.fromkeys(unit.bar for unit in asking if unit.bar.asks):
        units = [unit for unit in asking if unit.bar == bar and not bench.holds(unit.key)]
        questions = {question.key: question for unit in units for question in unit.questions(bench)}
        if questions:
            found.append(ToAsk(bar.request.label, bar.request.url, len(questions), tokens(list(questions.values()))))
    return found


def forget_failed(judging: Sequence[Score | Reliability], units: Iterable[Unit], bench: Bench) -> None:
    """Take results with missing judgements out of the store, and all that rests on them: what was answered is kept apart, so only
    what failed is asked again."""
    stale = {unit.key for unit in judging if bench.holds(unit.key) and unit.failed(bench)}
    for unit in in_order(units):
        if unit.key in stale or any(other.key in stale for other in unit.inputs):
            stale.add(unit.key)
            bench.forget(unit.key)
