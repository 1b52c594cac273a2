"""Text that is judged: samples under a steer at every multiplier, what a judge says of each, and how good the judge is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from mechsteer.errors import InputError
from mechsteer.families import JUDGES
from mechsteer.judges.answers import Answers
from mechsteer.judges.asking import Asked, Question
from mechsteer.judges.base import Judge, Subject, Unreachable, Written
from mechsteer.judges.request import Request
from mechsteer.store.keys import Key
from mechsteer.store.units import Bench

from ..evidence.scores import Judged, scored, summarise
from .looks import OfSteer
from .steers import PairSet
from .sweeps import Tables, TablesUnit


@dataclass(frozen=True)
class Sample(OfSteer):
    """Texts to be judged: several samples of each query at every multiplier of a sweep."""

    n_queries: int
    n_samples: int
    max_new_tokens: int
    instructions: tuple[str, ...]
    """Instead of the pairs' queries; none are those."""
    seed: int

    kind = "samples"

    @property
    def told(self) -> str:
        """How many of a file's instructions are used, in words; "" where queries are the pairs'."""
        n = len(self.instructions)
        return f"{min(n, self.n_queries)} of {n} instructions are used (--queries {self.n_queries})" if n else ""

    @property
    def words(self) -> str:
        return f"samples under {self.sweep.steer.steer.steer}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.texts import some_that_differ, write_samples

        sweep, steer = at.get(self.sweep), self.sweep.steer
        if self.instructions:
            queries = {f"instruction {n}": text for n, text in enumerate(self.instructions[: self.n_queries], 1)}
        else:
            queries = {pair.id: pair.query for pair in some_that_differ(at.get(self.sweep.pairs), self.n_queries)}
        written = write_samples(
            at.model(steer.model), at.get(steer), queries, sweep.multipliers, Answers(at.parts(self)),
            n_samples=self.n_samples, max_new_tokens=self.max_new_tokens,
            prompt_format=steer.prompt_format, seed=self.seed,
        )  # fmt: skip
        return {"samples": written}


@dataclass(frozen=True)
class Bar:
    """A judge as it is asked for, and what it is asked to judge."""

    request: Request
    code: str
    """Of the judge's file, where it is from outside the tree."""
    concept: str
    """In words."""
    checked: str
    """On a guestbook, of its pairs: what the exact checker knows."""

    @classmethod
    def of(cls, request: Request, concept: str, checked: str) -> "Bar":
        return cls(request, JUDGES[request.name].content, concept, checked)

    def open(self, at: Bench, learning: PairSet) -> Judge:
        """The judge; what it has answered lies in the store."""
        subject = Subject(self.concept, self.checked, at.get(learning))
        return JUDGES.load(self.request.name).open(self.request, subject, Answers(at.store.answers(self.request.id)))

    @property
    def asks(self) -> bool:
        """Whether the judge is asked in words."""
        return bool(JUDGES[self.request.name].get("ASKED"))

    def questions(self, at: Bench, learning: PairSet, texts: Sequence[Written]) -> list[Question]:
        """What the judge would be asked now about these texts; nothing of one that is not asked in words."""
        if not (self.asks and texts and isinstance(judge := self.open(at, learning), Asked)):
            return []
        return judge.missing([question for some in judge.questions(texts).values() for question in some])


def reached(tables: Callable[[], dict[str, pd.DataFrame]]) -> Tables:
    """What a judge cannot work with is an answer; that it cannot be reached is none, for it may answer another day."""
    try:
        return Tables(tables())
    except Unreachable:
        raise
    except InputError as error:
        return Tables({}, str(error))


@dataclass(frozen=True)
class Score(TablesUnit):
    """What a judge says of every sample under a steer."""

    samples: Sample
    learning: PairSet
    """That taught the steer, and may teach the judge."""
    bar: Bar

    kind = "scores"

    @property
    def words(self) -> str:
        return f"{self.bar.request.name} on {self.samples.words}"

    @property
    def result(self) -> Key:
        """Whose texts they are."""
        return self.samples.result

    def compute(self, at: Bench) -> Tables:
        return reached(lambda: self.tables(at))

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        texts, judge = self.written(at), self.bar.open(at, self.learning)
        found = scored(texts, texts_of(texts), judge, self.bar.request.label, self.bar.concept)
        return {"scores": found, "judged": summarise(found, at.get(self.samples.sweep))}

    def written(self, at: Bench) -> pd.DataFrame:
        """The texts, or why there are none."""
        written = at.get(self.samples)
        if written.because:
            raise InputError(written.because)
        return written.tables["samples"]

    def judged(self, at: Bench) -> Judged:
        """The scores beside the sweep, as claims need them."""
        found = at.get(self)
        if found.because:
            raise InputError(found.because)
        return Judged(at.get(self.samples.sweep), found.tables["scores"])

    def failed(self, at: Bench) -> bool:
        """Whether a judgement is missing that may be had by another try."""
        found = at.get(self)
        if found.because:
            return True
        scores = found.tables["scores"]
        return bool((scores.failed.ne("") & scores.raw.eq("")).any())

    def questions(self, at: Bench) -> list[Question]:
        """What a judge who is asked in words would be asked now."""
        written = at.get(self.samples)
        return [] if written.because else self.bar.questions(at, self.learning, texts_of(written.tables["samples"]))


@dataclass(frozen=True)
class Known:
    """A text of which somebody knows whether it shows the concept."""

    query: str
    text: str
    gold: bool
    multiplier: float | None = None
    """Under which it was written, if that is known."""


@dataclass(frozen=True)
class Reliability(TablesUnit):
    """How good a judge is on a steer's texts: by the exact checker, or by texts that are known."""

    score: Score
    known: tuple[Known, ...]
    """None is by the checker."""

    kind = "reliability"
    version = 2

    @property
    def words(self) -> str:
        return f"reliability of {self.score.words}"

    @property
    def result(self) -> Key:
        """Whose texts the judge judges."""
        return self.score.result

    @property
    def bar(self) -> Bar:
        """Of the judge who is judged."""
        return self.score.bar

    def questions(self, at: Bench) -> list[Question]:
        """What the judge would be asked now about texts that are known, beside those that it scores."""
        return self.bar.questions(at, self.score.learning, [Written(item.query, item.text) for item in self.known])

    def failed(self, at: Bench) -> bool:
        """Whether a text that is known has no judgement yet, or the judge could not be judged."""
        return bool(at.get(self).because) or bool(self.questions(at))

    def compute(self, at: Bench) -> Tables:
        return reached(lambda: self.tables(at))

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.reliability import of_checker, of_known, reliability

        scores, bar = self.score.judged(at).scores, self.bar
        if self.known:
            table = pd.DataFrame([vars(item) for item in self.known])
            rows, source = of_known(table, bar.open(at, self.score.learning), scores), "texts that are known"
        else:
            rows, source = of_checker(self.score.written(at), scores, bar.checked), "the exact checker"
        if rows.empty:
            raise InputError(
                f"{bar.request.label} has judged no text of which the truth is known. Look at why in scores.parquet, and repeat "
                "the command with --retry."
            )
        return {"reliability": reliability(rows, source).assign(judge=bar.request.label)}


@dataclass(frozen=True)
class Differences(TablesUnit):
    """How much more one steer's texts score than another's by one judge, corrected where something is known of some texts."""

    scores: tuple[Score, ...]
    reliability: tuple[Reliability, ...]
    """Of each steer, or one for all where texts are known."""

    kind = "corrected differences"

    @property
    def words(self) -> str:
        return f"differences between steers by {self.scores[0].bar.request.name}, corrected"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.reliability import differences, gold_of_checker, gold_of_known

        by_steer = {unit.score.key: unit for unit in self.reliability}
        given = []
        for score in self.scores:
            by, texts = by_steer.get(score.key, self.reliability[0]), score.written(at)
            if by.known:
                gold = gold_of_known(texts, pd.DataFrame([vars(item) for item in by.known]))
            else:
                gold = gold_of_checker(texts, score.bar.checked)
            if (found := at.get(by)).because:
                raise InputError(found.because)
            given.append((score.result, score.judged(at).scores, gold, found.tables["reliability"]))
        table = differences(given)
        judge = self.scores[0].bar.request.label
        return {} if table.empty else {"corrected_differences": table.assign(judge=judge)}


def texts_of(table: pd.DataFrame) -> list[Written]:
    """As judges take them."""
    return [Written(*row) for row in zip(table["query"], table.text, table.ended.map(bool), strict=True)]
