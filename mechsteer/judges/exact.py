"""The guestbook's own checker: which side of the concept an answer takes, and whether it is valid. Nothing is guessed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..guestbook import Language, language_of
from ..guestbook.words import EOS
from .answers import Answers
from .base import Judge, Judgement, Subject, Written
from .request import Request
from .scale import COHERENCE, CONCEPT, Aspect

NAME = "exact"
ORDER = 10
TITLE = "the guestbook's checker"
CHECKS = True


@dataclass(frozen=True)
class Exact(Judge):
    """Of one concept of one language."""

    concept: str
    language: Language

    @property
    def aspects(self) -> tuple[Aspect, ...]:
        return Aspect("concept", CONCEPT, -1.0, 1.0), Aspect("valid", COHERENCE)

    @classmethod
    def open(cls, request: Request, subject: Subject, answers: Answers) -> "Exact":
        if not subject.checked:
            raise InputError(
                "The judge 'exact' knows the guestbooks alone. Choose rules, classifier, local or endpoint."
            )
        return cls(subject.checked, language_of(subject.checked))

    def judge(self, texts: Sequence[Written]) -> Mapping[str, Sequence[Judgement]]:
        checks = [self.language.check(item.query, f"{item.text} {EOS}" if item.ended else item.text) for item in texts]
        return {
            "concept": [Judgement(float(check.values[self.concept])) for check in checks],
            "valid": [Judgement(float(check.valid)) for check in checks],
        }
