"""Pages of a guestbook: a query, after a line that may tell who speaks, and an answer, an opening and its sequels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from ..errors import InputError
from .patterns import Patterns, Sentence, Speaker, draw, draw_sentence, pattern_probability, split_sentences
from .words import EOS, NOUNS, Noun


@dataclass(frozen=True)
class Text:
    """One page of the guestbook."""

    setting: Speaker
    query: str
    answer: str

    def __str__(self) -> str:
        """The whole page as the model is to read it, but for the BOS that its tokenizer adds."""
        return self.query + self.answer


def draw_line(random: Random, setting: Speaker, *lines: Patterns) -> str:
    """A query, a sentence from each of some patterns."""
    return " ".join(word for patterns in lines for word in draw_sentence(random, patterns, setting).words(setting))


def noun_in(query: str, is_query: Callable[[Noun], object]) -> Noun:
    """The one noun that a query names, of which it can be a query."""
    nouns = [NOUNS[word] for word in query.split() if word in NOUNS]
    if len(nouns) == 1 and is_query(nouns[0]):
        return nouns[0]
    raise InputError(
        f"{query!r} is no query of the guestbook. Ask as in 'what about the soup ?', with spaces between all words."
    )


def draw_sentences(
    random: Random, setting: Speaker, openings: Patterns, sequels: Patterns, n_sentences: Mapping[int, float]
) -> tuple[Sentence, ...]:
    """The sentences of an answer."""
    n_sequels = draw(random, n_sentences) - 1
    return tuple(draw_sentence(random, patterns, setting) for patterns in (openings,) + (sequels,) * n_sequels)


def realise(derivation: tuple[Sentence, ...], setting: Speaker) -> str:
    """The answer that a derivation becomes in a setting, from its leading space to its end token."""
    words = [word for sentence in derivation for word in sentence.words(setting)]
    return " " + " ".join([*words, EOS])


def query_probability(query: str, setting: Speaker, reveals: Patterns, questions: Patterns) -> Any:
    """P(query | setting); an array of a setting that stands for many."""
    *reveal, question = split_sentences(query)
    if len(reveal) > 1:
        return 0.0
    line = reveal[0] if reveal else ()
    return pattern_probability(line, reveals, setting) * pattern_probability(question, questions, setting)


def answer_probability(
    answer: str, setting: Speaker, openings: Patterns, sequels: Patterns, n_sentences: Mapping[int, float]
) -> Any:
    """P(answer | setting); an array of a setting that stands for many."""
    *sentences, end = split_sentences(answer) or [()]
    if end != (EOS,) or len(sentences) not in n_sentences:
        return 0.0
    probability: Any = n_sentences[len(sentences)] / sum(n_sentences.values())
    for place, sentence in enumerate(sentences):
        probability = probability * pattern_probability(sentence, sequels if place else openings, setting)
        if not np.any(probability):  # where every opening tells the setting, most end here
            break
    return probability
