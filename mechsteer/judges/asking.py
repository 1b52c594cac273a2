"""Judges that are asked in words: each question once, its answer kept word by word, and read afterwards."""

import math
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..store.keys import digest
from .answers import Answers
from .base import Judge, Judgement, Subject, Written
from .request import Request
from .scale import Aspect, Scale, read_scale

RATING = re.compile(r"\[\[([^\[\]]*)\]\]")
CHARACTERS_PER_TOKEN = 4
"""Of English, about; nobody's tokenizer is at hand for a model that answers elsewhere."""


@dataclass(frozen=True)
class Question:
    """What is asked about one aspect of a text."""

    aspect: Aspect
    prompt: str
    key: str


@dataclass(frozen=True, eq=False)
class Asked(Judge):
    """Asks about every aspect of a scale by itself, so that no answer leans on another."""

    request: Request
    subject: Subject
    answers: Answers
    scale: Scale

    @classmethod
    def open(cls, request: Request, subject: Subject, answers: Answers) -> "Asked":
        scale = read_scale(request.scale)
        if scale.needs_concept and not subject.concept:
            raise InputError(f"The scale {scale.name!r} speaks of the concept. Say it in words with --concept.")
        return cls(request, subject, answers, scale)

    @property
    def aspects(self) -> tuple[Aspect, ...]:
        return self.scale.aspects

    def judge(self, texts: Sequence[Written]) -> Mapping[str, Sequence[Judgement]]:
        questions = self.questions(texts)
        failed = self.answer([question for some in questions.values() for question in some])
        known = self.answers.known()
        return {
            name: [
                self.read(question.aspect, known[question.key])
                if question.key in known
                else Judgement(failed=failed[question.key])
                for question in some
            ]
            for name, some in questions.items()
        }

    def questions(self, texts: Sequence[Written]) -> dict[str, list[Question]]:
        """By aspect, one for each text; the key says all that the answer depends on."""
        found: dict[str, list[Question]] = {}
        for aspect in self.aspects:
            prompts = [
                f"{aspect.asks(self.subject.concept, text.query, text.text)}\n\n{self.form(aspect)}" for text in texts
            ]
            found[aspect.name] = [
                Question(aspect, prompt, digest([self.request.id, self.settings, self.scale.version, prompt]))
                for prompt in (text.strip() for text in prompts)
            ]
        return found

    def missing(self, questions: Sequence[Question]) -> list[Question]:
        """Those that have no answer yet, each once."""
        known = self.answers.known()
        return list({question.key: question for question in questions if question.key not in known}.values())

    def answer(self, questions: Sequence[Question]) -> Mapping[str, str]:
        """Ask what is missing and keep it; why there is no answer, by key, where there is none."""
        if not (missing := self.missing(questions)):
            return {}
        with self.answers.keeping() as keep:
            return self.ask(missing, keep)

    @property
    @abstractmethod
    def settings(self) -> dict[str, object]:
        """How it is asked."""

    @abstractmethod
    def form(self, aspect: Aspect) -> str:
        """The end of a question: in which form it is to be answered."""

    @abstractmethod
    def ask(self, questions: Sequence[Question], keep: Callable[[str, str], None]) -> Mapping[str, str]:
        """Hand every answer to `keep` by its question's key; give back why others have none."""

    @abstractmethod
    def read(self, aspect: Aspect, raw: str) -> Judgement:
        """What an answer says."""


def last_rating(aspect: Aspect, raw: str) -> Judgement:
    """The last rating of an answer in free words: what was quoted from a judged text stands before it.

    Halves count as halves. What is no rating, or lies outside the scale, is no judgement: it is neither cut nor made the worst.
    """
    found = RATING.findall(raw)
    if not found:
        return Judgement(raw=raw, failed="no rating")
    said = found[-1].strip().lower()
    if said in aspect.answers:
        return Judgement(aspect.answers[said], raw)
    try:
        score = math.nan if aspect.words else float(said)
    except ValueError:
        score = math.nan
    if math.isnan(score):
        return Judgement(
            raw=raw, failed="a rating that is no number" if not aspect.words else "another word than allowed"
        )
    if not aspect.low <= score <= aspect.high:
        return Judgement(raw=raw, failed="a rating outside the scale")
    return Judgement(score, raw)


def tokens(questions: Sequence[Question]) -> int:
    """About how many tokens the questions are."""
    return sum(len(question.prompt) for question in questions) // CHARACTERS_PER_TOKEN
