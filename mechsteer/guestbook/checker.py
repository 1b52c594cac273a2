"""A judge of any text that claims to be an answer, by its parts and without probabilities.

It reads the same tables as the grammar in another way: one regular expression in which every slot admits the words of
every setting, so that the order of words and their choice are judged apart.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain

from .grammar import N_SENTENCES, OPENINGS, SEQUELS, noun_asked
from .words import CONCEPTS, EOS, NOUNS, SLOTS, example_settings, forms, settings_of


@dataclass(frozen=True)
class Check:
    """What is right with an answer, part by part, and the value of each concept in [-1, 1].

    A value is the mean side of the words that bear the concept, and 0 where no word does.
    """

    grammatical: bool  # words in the order of the grammar, whichever noun and setting each of them suits
    on_topic: bool  # names the noun asked about, in its number, and no other
    fitting: bool  # every word suits the kind of noun that it speaks of
    agreeing: bool  # every word agrees in number with the noun that it speaks of
    ended: bool
    values: Mapping[str, float]

    @property
    def valid(self) -> bool:
        """Whether all parts are right."""
        return self.grammatical and self.on_topic and self.fitting and self.agreeing and self.ended

    @property
    def consistent(self) -> bool:
        """Whether every concept keeps to one side."""
        return all(abs(value) == 1 for value in self.values.values())


def check(query: str, answer: str) -> Check:
    """Judge an answer to a query. A word speaks of the noun named last before it, or else of the noun asked about."""
    asked = spoken_of = noun_asked(query)
    words = answer.split()
    ended = words[-1:] == [EOS]
    body = words[:-1] if ended else words
    fitting = agreeing = True
    sides: dict[str, list[int]] = {concept: [] for concept in CONCEPTS}
    for word in body:
        spoken_of = NOUNS.get(word, spoken_of)
        meaning = _meanings().get(word, {})
        fitting &= spoken_of.kind in meaning.get("kind", (spoken_of.kind,))
        agreeing &= spoken_of.number in meaning.get("number", (spoken_of.number,))
        for concept in CONCEPTS:
            possible = meaning.get(concept, ())
            sides[concept] += possible if len(possible) == 1 else ()
    return Check(
        grammatical=_grammar().fullmatch("".join(f"{word} " for word in body)) is not None,
        on_topic={word for word in body if word in NOUNS} == {asked.word},
        fitting=fitting,
        agreeing=agreeing,
        ended=ended,
        values={concept: sum(found) / len(found) if found else 0.0 for concept, found in sides.items()},
    )


@cache
def _grammar() -> re.Pattern[str]:
    return re.compile(f"{_any_of(OPENINGS)}{_any_of(SEQUELS)}{{0,{max(N_SENTENCES) - 1}}}")


def _any_of(patterns: Iterable[str]) -> str:
    return "(?:" + "|".join("".join(map(_any_form, pattern.split())) for pattern in patterns) + ")"


def _any_form(part: str) -> str:
    settings = chain.from_iterable(map(settings_of, NOUNS.values())) if part == "NOUN" else example_settings()
    phrases = {"".join(f"{word} " for word in form.words) for setting in settings for form in forms(part, setting)}
    return "(?:" + "|".join(map(re.escape, sorted(phrases))) + ")"


@cache
def _meanings() -> Mapping[str, Mapping[str, frozenset]]:
    """For each word of a slot, the kinds, numbers and sides of the settings in which a guest may say it."""
    meanings: dict[str, dict[str, set]] = {}
    slots = {part for pattern in (*OPENINGS, *SEQUELS) for part in pattern.split() if part in SLOTS}
    for setting in example_settings():
        for word in {word for slot in slots for form in forms(slot, setting) for word in form.words}:
            meaning = meanings.setdefault(word, {feature: set() for feature in ("kind", "number", *CONCEPTS)})
            for feature, values in meaning.items():
                values.add(getattr(setting if feature in CONCEPTS else setting.noun, feature))
    return {
        word: {feature: frozenset(values) for feature, values in meaning.items()} for word, meaning in meanings.items()
    }
