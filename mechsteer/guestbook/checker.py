"""A judge of any text that claims to be an answer, by its parts and without probabilities.

It reads the same tables as the grammar in another way: one regular expression in which every slot admits the words of
every setting, so that the order of words and their choice are judged apart.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise

from .grammar import N_SENTENCES, OPENINGS, SEQUELS, noun_asked
from .words import CONCEPTS, EOS, NOUNS, SLOTS, Noun, example_settings, forms, settings_of

Meanings = Mapping[str, Mapping[str, frozenset]]
"""For each word of a slot, the kinds and numbers of nouns that it may be said of, and the values of concepts that it may tell;
for two words, what the second means after the first, if that is another thing."""


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
    return judge(noun_asked(query), answer, _grammar(), _meanings(), CONCEPTS)


def judge(asked: Noun, answer: str, grammar: re.Pattern[str], meanings: Meanings, concepts: Iterable[str]) -> Check:
    """Judge an answer about a noun, in any language of the guestbook."""
    spoken_of = asked
    words = answer.split()
    ended = words[-1:] == [EOS]
    body = words[:-1] if ended else words
    fitting = agreeing = True
    values: dict[str, list[float]] = {concept: [] for concept in concepts}
    for before, word in pairwise(["", *body]):
        spoken_of = NOUNS.get(word, spoken_of)
        meaning = meanings.get(f"{before} {word}") or meanings.get(word, {})
        fitting &= spoken_of.kind in meaning.get("kind", (spoken_of.kind,))
        agreeing &= spoken_of.number in meaning.get("number", (spoken_of.number,))
        for concept, found in values.items():
            possible = meaning.get(concept, ())
            found += possible if len(possible) == 1 else ()
    return Check(
        grammatical=grammar.fullmatch("".join(f"{word} " for word in body)) is not None,
        on_topic={word for word in body if word in NOUNS} == {asked.word},
        fitting=fitting,
        agreeing=agreeing,
        ended=ended,
        values={concept: sum(found) / len(found) if found else 0.0 for concept, found in values.items()},
    )


@cache
def _grammar() -> re.Pattern[str]:
    return any_answer(OPENINGS, SEQUELS, max(N_SENTENCES), _phrases)


def any_answer(
    openings: Iterable[str], sequels: Iterable[str], n_sentences: int, phrases: Callable[[str], set[tuple[str, ...]]]
) -> re.Pattern[str]:
    """An opening and its sequels, where every part of a pattern is any of its phrases, each a tuple of words."""

    def any_of(patterns: Iterable[str]) -> str:
        return "(?:" + "|".join("".join(map(any_form, pattern.split())) for pattern in patterns) + ")"

    def any_form(part: str) -> str:
        written = sorted("".join(f"{word} " for word in words) for words in phrases(part))
        return "(?:" + "|".join(map(re.escape, written)) + ")"

    return re.compile(f"{any_of(openings)}{any_of(sequels)}{{0,{n_sentences - 1}}}")


def _phrases(part: str) -> set[tuple[str, ...]]:
    settings = chain.from_iterable(map(settings_of, NOUNS.values())) if part == "NOUN" else example_settings()
    return {form.words for setting in settings for form in forms(part, setting)}


@cache
def _meanings() -> Meanings:
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
