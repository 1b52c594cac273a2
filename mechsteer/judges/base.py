"""What every judge is: of each text a judgement of every aspect, which may be missing and is never made up."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..pairs.polarity import Pairs
from .answers import Answers
from .request import Request
from .scale import Aspect


@dataclass(frozen=True)
class Written:
    """A text, the query that it answers, and whether the model ended it or was cut off."""

    query: str
    text: str
    ended: bool = True


@dataclass(frozen=True)
class Judgement:
    """What a judge says of one aspect of a text; where it `failed`, that says why, and there is no score."""

    score: float = float("nan")
    raw: str = ""
    """What the judge answered, word by word."""
    mass: float = float("nan")
    """Of a model that is read by probabilities: how much lies on answers that are allowed."""
    failed: str = ""


@dataclass(frozen=True)
class Subject:
    """What texts are judged for."""

    concept: str
    """In words, for those who are asked in words."""
    checked: str = ""
    """The concept that a guestbook's exact checker knows; "" where there is no checker."""
    learning: Pairs | None = None
    """Natural texts of both sides, from which a judge may learn."""


class Unreachable(InputError):
    """A judge cannot be opened, or does not answer at all, so that going on would find nothing; what it has answered is kept."""


class Judge(ABC):
    """One judge, ready to judge; what its file declares stands in families.py."""

    @classmethod
    @abstractmethod
    def open(cls, request: Request, subject: Subject, answers: Answers) -> "Judge":
        """The judge that was asked for; `answers` holds what it has said before."""

    @property
    @abstractmethod
    def aspects(self) -> tuple[Aspect, ...]:
        """What it judges."""

    @property
    def about(self) -> str:
        """What is known of how good it is, in a few words."""
        return ""

    @abstractmethod
    def judge(self, texts: Sequence[Written]) -> Mapping[str, Sequence[Judgement]]:
        """By aspect, a judgement of each text."""
