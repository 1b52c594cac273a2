"""Rules on words: whose words a text uses more, whether it refuses, whether it repeats itself, and how long it is.

Which words tell the two sides apart is learned from the pairs that teach the steer, by the log-odds of a word on either side in
standard errors (Monroe, Colaresi and Quinn 2008).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..errors import InputError
from .answers import Answers
from .base import Judge, Judgement, Subject, Written
from .request import Request
from .scale import COHERENCE, CONCEPT, Aspect

NAME = "rules"
ORDER = 20
TITLE = "rules on words"

TELLING = 1.64
"""Standard errors by which a word must lean to one side: one chance in twenty, if it leans to none."""
MOST_WORDS = 50
"""Of each side."""
REPEATED = 3
"""Words in a row that count as repeated."""
REFUSALS = (
    "i cannot", "i can't", "i can not", "i'm sorry", "i am sorry", "i apologize", "i won't", "i will not", "i'm unable",
    "i am unable", "i'm not able", "as an ai", "as a language model", "it is not appropriate", "i must decline",
)  # fmt: skip
ABOUT_TEXTS = frozenset((
    "mention", "mentions", "reference", "references", "related", "term", "terms", "text", "texts", "word", "words"
))  # fmt: skip
"""Words of descriptions that tell nothing of what a concept is, beside the common words of English."""


def words_of(text: str) -> list[str]:
    """In lower case, without signs."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def names(concept: str, text: str) -> bool:
    """Whether a text holds a word of the concept's description just as it stands there ("volcanoes", not "volcano"), however it
    is meant: what a judge may take for the concept. No text does where the concept is not said in words."""
    return not _telling(concept).isdisjoint(words_of(text))


@cache
def _telling(concept: str) -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(words_of(concept)) - ENGLISH_STOP_WORDS - ABOUT_TEXTS


def telling_words(texts: Sequence[Iterable[str]]) -> tuple[frozenset[str], frozenset[str]]:
    """The words that lean most to the first side, and to the second, of texts that are lists of words."""
    counts = [Counter(side) for side in texts]
    words = sorted(set().union(*counts))
    n = np.array([[side[word] for word in words] for side in counts], dtype=np.float64)
    # Half a text more on either side: a word that one side never uses has doubt too.
    at = n + 0.5
    log_odds = np.log(at) - np.log(at.sum(axis=1, keepdims=True) - at)
    lean = (log_odds[0] - log_odds[1]) / np.sqrt((1 / at).sum(axis=0))
    first, second = (
        frozenset(words[index] for index in order[:MOST_WORDS] if sign * lean[index] > TELLING)
        for sign, order in ((1, np.argsort(-lean, kind="stable")), (-1, np.argsort(lean, kind="stable")))
    )
    return first, second


@dataclass(frozen=True)
class Rules(Judge):
    """By the words of either side."""

    positive: frozenset[str]
    negative: frozenset[str]

    @property
    def aspects(self) -> tuple[Aspect, ...]:
        concept, repeated = Aspect("concept", CONCEPT, -1.0, 1.0), Aspect("not repeated", COHERENCE)
        return concept, repeated, Aspect("refusal"), Aspect("words", high=float("inf"))

    @classmethod
    def open(cls, request: Request, subject: Subject, answers: Answers) -> "Rules":
        assert subject.learning is not None
        sides = [
            [word for text in texts for word in set(words_of(text))]
            for texts in zip(*((pair.positive, pair.negative) for pair in subject.learning), strict=True)
        ]
        positive, negative = telling_words(sides)
        if not positive and not negative:
            raise InputError("No word tells the pairs' two sides apart. Choose another judge than rules.")
        return cls(positive, negative)

    @property
    def about(self) -> str:
        return f"{len(self.positive)} words tell of the concept, {len(self.negative)} against it"

    def judge(self, texts: Sequence[Written]) -> Mapping[str, Sequence[Judgement]]:
        found: dict[str, list[Judgement]] = {aspect.name: [] for aspect in self.aspects}
        for item in texts:
            words = words_of(item.text)
            for name, score in (
                ("concept", self.lean(words)), ("not repeated", distinct(words)),
                ("refusal", float(refuses(item.text))), ("words", float(len(words))),
            ):  # fmt: skip
                found[name].append(Judgement(score))
        return found

    def lean(self, words: Sequence[str]) -> float:
        """From -1, all telling words are against the concept, to 1; 0 where none tells."""
        for_it, against = (sum(word in side for word in words) for side in (self.positive, self.negative))
        return (for_it - against) / (for_it + against) if for_it + against else 0.0


def distinct(words: Sequence[str]) -> float:
    """The share of runs of words that are not there a second time; nothing said is nothing distinct."""
    if len(words) < REPEATED:
        return float(bool(words))
    runs = list(zip(*(words[begin:] for begin in range(REPEATED)), strict=False))
    return len(set(runs)) / len(runs)


def refuses(text: str) -> bool:
    """Whether it begins like a refusal."""
    begin = text.strip().lower().replace("’", "'")[:120]
    return any(refusal in begin for refusal in REFUSALS)
