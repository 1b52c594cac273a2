"""A judge of any text that claims to be an answer of the rich guestbook, by its parts and without probabilities.

A value is the mean of the sides that cues of a concept take, the season's the mean cosine of its words' angles from midsummer,
and care's that of its verbs, +1 for one that agrees in number and -1 for one that does not.
"""

import re
from dataclasses import replace
from functools import cache
from itertools import product
from math import cos

from ..checker import Check, Meanings, any_answer, judge
from ..words import NOUNS, Noun
from .grammar import N_SENTENCES, OPENINGS, SEQUELS, noun_asked
from .words import CONCEPTS, EXAMPLES, TELLS, choices


def check(query: str, answer: str) -> Check:
    """Judge an answer to a query. A word speaks of the noun named last before it, or else of the noun asked about."""
    asked = noun_asked(query)
    judged = judge(asked, answer, _grammar(), _meanings(), CONCEPTS)
    return replace(judged, values={**judged.values, "care": _care(asked, answer)})


def _care(asked: Noun, answer: str) -> float:
    """Whether a verb is right depends on the noun that it speaks of."""
    spoken_of, sides = asked, []
    for word in answer.split():
        spoken_of = NOUNS.get(word, spoken_of)
        if word in _verbs():
            sides.append(1 if spoken_of.number in _meanings()[word]["number"] else -1)
    return sum(sides) / len(sides) if sides else 0.0


@cache
def _grammar() -> re.Pattern[str]:
    return any_answer(OPENINGS, SEQUELS, max(N_SENTENCES), _phrases)


@cache
def _slots() -> frozenset[str]:
    return frozenset(
        part for pattern in (*OPENINGS, *SEQUELS) for part in pattern.split() if part.isupper() and part != "NOUN"
    )


@cache
def _verbs() -> frozenset[str]:
    slots = [slot for slot in _slots() if TELLS.get(slot) == "care"]
    return frozenset(
        word for noun, slot in product(EXAMPLES, slots) for choice in choices(slot, noun) for word in choice.words
    )


def _phrases(part: str) -> set[tuple[str, ...]]:
    return {choice.words for noun in NOUNS.values() for choice in choices(part, noun)}


@cache
def _meanings() -> Meanings:
    """As careful guests speak: a verb in the wrong number is one of nouns of the other."""
    meanings: dict[str, dict[str, set]] = {}
    for noun, slot in product(EXAMPLES, _slots()):
        concept = TELLS.get(slot, "")
        said = [choice for choice in choices(slot, noun) if concept != "care" or choice.value > 0]
        for word, value in ((word, choice.value) for choice in said for word in choice.words):
            # A place is sunny, and so is a day.
            key = f"on {word}" if slot == "WEATHER" else word
            meaning = meanings.setdefault(key, {feature: set() for feature in ("kind", "number", *CONCEPTS)})
            meaning["kind"].add(noun.kind)
            meaning["number"].add(noun.number)
            if concept and concept != "care":
                # Rounded: a word a quarter of the year from midsummer tells neither side.
                meaning[concept].add(round(cos(value), 12) if concept == "season" else value)
    return {
        word: {feature: frozenset(values) for feature, values in meaning.items()} for word, meaning in meanings.items()
    }
