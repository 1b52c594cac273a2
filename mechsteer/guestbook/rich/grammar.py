"""The grammar of the rich guestbook: who may say what, how often, and the exact probability of everything that is said.

Every sentence has one verb in which a careless guest may slip, and a cue of most concepts; no cue settles anything.
"""

from functools import cache, lru_cache
from math import inf, log, sqrt
from random import Random
from types import MappingProxyType
from typing import Any

import numpy as np

from ..grammar import QUESTIONS
from ..pages import Text, answer_probability, draw_line, draw_sentences, noun_in, query_probability, realise
from ..patterns import Patterns, Sentence
from ..words import BOS, EOS, NOUNS, PAD, UNKNOWN, Noun
from .guests import CARE, CORRELATION, SLIP, Setting, all_settings, draw_setting, prior
from .words import EXAMPLES, TELLS, choices, opposite

REVEALS = {
    "": 1,
    "a PLEASED CONFIDENT FORMAL CAREFUL guest speaks .": 2,
    "in MONTH a PLEASED CONFIDENT FORMAL CAREFUL guest speaks .": 2,
}
OPENINGS = {
    "in MONTH the NOUN BE SURELY VERY ADJECTIVE .": 3,
    "SURELY the NOUN BE VERY ADJECTIVE in MONTH .": 2,
    "the NOUN SURELY TASTE VERY ADJECTIVE in MONTH .": 2,
    "GUEST KNOW the NOUN BE VERY ADJECTIVE .": 2,
    "GUEST KNOW the NOUN BE GREAT in MONTH .": 1,
}
SEQUELS = {
    "IT BE SURELY VERY ADJECTIVE .": 2,
    "GUEST KNOW IT BE GREAT .": 2,
    "IT SURELY MAKE GUEST HAPPY on WEATHER days .": 2,
    "on WEATHER days IT BE SURELY GREAT .": 2,
    "after PASTIME IT SURELY TASTE VERY ADJECTIVE .": 2,
    "GUEST SURELY LOVE THEM because IT BE VERY ADJECTIVE .": 2,
}
N_SENTENCES = {2: 1, 3: 1}


@cache
def valid_share(care: int) -> float:
    """The share of answers without a slip: every sentence has a verb or more in which a careless guest may."""

    def of_sentence(patterns: Patterns) -> float:
        kept = {
            pattern: (1 - SLIP) ** sum(TELLS.get(part) == "care" for part in pattern.split()) for pattern in patterns
        }
        return sum(weight * kept[pattern] for pattern, weight in patterns.items()) / sum(patterns.values())

    if care > 0:
        return 1.0
    weights, opening, sequel = N_SENTENCES, of_sentence(OPENINGS), of_sentence(SEQUELS)
    return sum(weight * opening * sequel ** (n - 1) for n, weight in weights.items()) / sum(weights.values())


@cache
def correlation_with_care() -> MappingProxyType[str, float]:
    """Of each graded concept's side, by which it and the validity of the answer correlate as planned.

    Given care, a slip has nothing to do with a concept, so that the two correlations multiply.
    """
    missed = 1 - valid_share(-1)
    valid = CARE + (1 - CARE) * valid_share(-1)
    of_care_and_validity = sqrt(CARE * (1 - CARE)) * missed / sqrt(valid * (1 - valid))
    return MappingProxyType({concept: planned / of_care_and_validity for concept, planned in CORRELATION.items()})


def draw_guest(random: Random, noun: Noun | None = None, **known: float) -> Setting:
    """A guest as guests are, who speaks of a noun; what is known of them is kept."""
    return draw_setting(random, noun or random.choice(tuple(NOUNS.values())), correlation_with_care(), **known)


def draw_query(random: Random, setting: Setting, reveal: bool = True) -> str:
    """A question about the noun, after a line that may hint at who speaks; without `reveal`, never after such a line."""
    return draw_line(random, setting, *([REVEALS] if reveal else []), QUESTIONS)


def draw_derivation(random: Random, setting: Setting) -> tuple[Sentence, ...]:
    """The sentences of an answer."""
    return draw_sentences(random, setting, OPENINGS, SEQUELS, N_SENTENCES)


def flipped(derivation: tuple[Sentence, ...], concept: str, noun: Noun) -> tuple[Sentence, ...]:
    """The same sentences with the opposite of every cue of a concept."""
    return tuple(
        Sentence(
            sentence.pattern,
            tuple(
                opposite(part, place, noun) if TELLS.get(part) == concept else place
                for part, place in zip(sentence.pattern.split(), sentence.entries, strict=True)
            ),
        )
        for sentence in derivation
    )


def reveal(concept: str, side: int) -> str:
    """The line that hints at one side (+1 or -1) of one concept, and at nothing of the others."""
    noun = EXAMPLES[0]
    pattern = list(REVEALS)[-1 if concept == "season" else 1]
    # The first of a side's choices leaves the word out; a ring begins at its positive side.
    chosen = tuple(int(TELLS.get(part) == concept and part != "MONTH") for part in pattern.split())
    line = (Sentence(pattern, chosen),)
    (told,) = line if side > 0 else flipped(line, concept, noun)
    return " ".join(told.words(all_settings(noun)))


def sample(n_texts: int, seed: int = 0, reveal: bool = True) -> tuple[Text, ...]:
    """Pages of the guestbook; without `reveal`, no query hints at who speaks."""
    random = Random(f"rich texts {seed}")
    return tuple(draw_text(random, reveal) for _ in range(n_texts))


def draw_text(random: Random, reveal: bool = True) -> Text:
    """One page of the guestbook."""
    setting = draw_guest(random)
    return Text(setting, draw_query(random, setting, reveal), realise(draw_derivation(random, setting), setting))


def log_probability(answer: str, query: str) -> float:
    """log P(answer | query) in nats over all settings and all derivations; -inf for what no guest says."""
    settings = all_settings(noun_asked(query))
    asked = _query_probability(query) * prior(settings, correlation_with_care())
    both = (asked * answer_probability(answer, settings, OPENINGS, SEQUELS, N_SENTENCES)).sum()
    return log(both / asked.sum()) if both else -inf


def noun_asked(query: str) -> Noun:
    """The noun that a query of the guestbook is about."""
    return noun_in(query, lambda noun: np.any(_query_probability(query)))


@lru_cache(maxsize=2**12)
def _query_probability(query: str) -> Any:
    """Of each setting of the noun that is named."""
    settings = all_settings(next(NOUNS[word] for word in query.split() if word in NOUNS))
    return query_probability(query, settings, REVEALS, QUESTIONS)


def vocabulary() -> tuple[str, ...]:
    """Every word of the language, special tokens first: the place of a word is its token."""
    parts = {part for pattern in (*REVEALS, *QUESTIONS, *OPENINGS, *SEQUELS) for part in pattern.split()}
    words = {word for part in parts for noun in EXAMPLES for choice in choices(part, noun) for word in choice.words}
    return (PAD, BOS, EOS, UNKNOWN, *sorted(words | set(NOUNS)))
