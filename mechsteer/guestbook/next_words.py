"""Which words may come next in an answer, exactly: those after which it can still become a valid one.

The grammar's patterns are read as an automaton over words, whatever side of a concept each word takes; so it admits what the
checker calls valid, and the mass that a model gives to these words needs no text to be drawn.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from .grammar import N_SENTENCES, OPENINGS, SEQUELS, noun_asked
from .patterns import Patterns
from .words import EOS, Noun, forms, settings_of


class Place(NamedTuple):
    """Somewhere in an answer: what is left of the words of a slot, of the parts of its sentence, and of the sentences."""

    words: tuple[str, ...]
    parts: tuple[str, ...]
    n_sentences: int


def next_words(query: str, answer: Sequence[str]) -> list[frozenset[str]]:
    """What may stand in the place of each of an answer's words, and after the last; nothing where it is beyond repair."""
    noun = noun_asked(query)
    places, found = _begin(OPENINGS, max(N_SENTENCES) - 1), []
    for word in (*answer, ""):
        steps = _together(_steps(place, noun) for place in places)
        found.append(frozenset(steps))
        places = steps.get(word, frozenset())
    return found


def _begin(patterns: Patterns, n_sentences: int) -> frozenset[Place]:
    return frozenset(Place((), tuple(pattern.split()), n_sentences) for pattern in patterns)


@cache
def _steps(place: Place, noun: Noun) -> dict[str, frozenset[Place]]:
    """Each word that may follow, and where it leads; after the end nothing follows."""
    words, parts, n_sentences = place
    if words:
        return {words[0]: frozenset({place._replace(words=words[1:])})}
    if not parts:
        sequels = _begin(SEQUELS, n_sentences - 1) if n_sentences else frozenset()
        return {EOS: frozenset()} | _together(_steps(sequel, noun) for sequel in sequels)
    chosen = {form.words for setting in settings_of(noun) for form in forms(parts[0], setting)}
    return _together(_steps(Place(some, parts[1:], n_sentences), noun) for some in chosen)


def _together(steps: Iterator[dict[str, frozenset[Place]]]) -> dict[str, frozenset[Place]]:
    found: dict[str, frozenset[Place]] = {}
    for step in steps:
        for word, places in step.items():
            found[word] = found.get(word, frozenset()) | places
    return found
