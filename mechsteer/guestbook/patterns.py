"""Patterns: sentences in which lower-case words stand for themselves and upper-case words are slots, drawn and read back.

Every language of the guestbook is tables of them. What fills a slot, and how often, a setting says: its `forms(part)`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, runtime_checkable

from .words import Form

Patterns = Mapping[str, float]


@runtime_checkable
class Speaker(Protocol):
    """What a guest has in mind, as far as patterns need to know."""

    def forms(self, part: str) -> Sequence[Form]:
        """What a part of a pattern may be, with weights."""
        ...


@dataclass(frozen=True)
class Sentence:
    """A pattern and, for each of its parts, the place of the entry chosen: what two settings can share."""

    pattern: str
    entries: tuple[int, ...]

    def words(self, setting: Speaker) -> Iterator[str]:
        """The sentence as a guest with this setting says it."""
        for part, entry in zip(self.pattern.split(), self.entries, strict=True):
            yield from setting.forms(part)[entry].words


def draw_sentence(random: Random, patterns: Patterns, setting: Speaker) -> Sentence:
    """A pattern and its entries, each as often as its weight says."""
    pattern = draw(random, patterns)
    weights = ([form.weight for form in setting.forms(part)] for part in pattern.split())
    return Sentence(pattern, tuple(random.choices(range(len(choices)), choices)[0] for choices in weights))


def draw(random: Random, weights: Mapping[Any, float]) -> Any:
    """One of the keys."""
    return random.choices(tuple(weights), tuple(weights.values()))[0]


def pattern_probability(words: tuple[str, ...], patterns: Patterns, setting: Speaker) -> Any:
    """P(words | setting), summed over the patterns and over the ways in which each yields the words.

    Of a setting that stands for many, an array.
    """
    likelihood: Any = 0.0
    for pattern, weight in patterns.items():
        written: dict[int, Any] = {
            0: weight
        }  # for each n, how likely the parts so far are to be just the first n words
        for part in pattern.split():
            choices = setting.forms(part)
            share = 1 / sum(form.weight for form in choices)
            before, written = written, {}
            for start, probability in before.items():
                for form in choices:
                    end = start + len(form.words)
                    if words[start:end] == form.words:
                        written[end] = written.get(end, 0.0) + probability * form.weight * share
            if not written:
                break
        likelihood = likelihood + written.get(len(words), 0.0)
    return likelihood / sum(patterns.values())


def split_sentences(text: str) -> list[tuple[str, ...]]:
    """Words cut behind every full stop."""
    found: list[list[str]] = [[]]
    for word in text.split():
        found[-1].append(word)
        if word == ".":
            found.append([])
    return [tuple(sentence) for sentence in found if sentence]
