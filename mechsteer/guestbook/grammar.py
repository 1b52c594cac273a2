"""The grammar of the guestbook: who may say what, how often, and the exact probability of everything that is said.

A guest draws a setting, and then an answer of one to three sentences by patterns (patterns.py): an opening, which shows
every concept, and sequels.
"""

from dataclasses import replace
from functools import lru_cache
from math import inf, log
from random import Random

from .pages import Text, answer_probability, draw_line, draw_sentences, noun_in, query_probability, realise
from .patterns import Sentence
from .words import BOS, CONCEPTS, EOS, NOUNS, PAD, UNKNOWN, Noun, Setting, example_settings, settings_of

REVEALS = {"": 1, "a PLEASED CONFIDENT CURRENT guest speaks .": 2}
QUESTIONS = {
    "what about the NOUN ?": 3,
    "any thoughts on the NOUN ?": 2,
    "can you describe the NOUN ?": 2,
    "what is your opinion of the NOUN ?": 1,
    "how would you rate the NOUN ?": 1,
    "and the NOUN ?": 1,
}
OPENINGS = {
    "the NOUN BE SURELY VERY ADJECTIVE ASIDE .": 3,
    "SURELY the NOUN BE VERY ADJECTIVE .": 1,
    "i KNOW the NOUN BE VERY ADJECTIVE ASIDE .": 2,
    "the NOUN SURELY TASTE VERY ADJECTIVE ASIDE .": 2,
    "the NOUN BE SURELY ADJECTIVE and GREAT .": 1,
    "TODAY the NOUN BE SURELY GREAT .": 1,
    "GUEST SURELY LOVE the NOUN ASIDE .": 2,
}
SEQUELS = {
    "IT BE SURELY VERY ADJECTIVE .": 2,
    "SURELY IT BE GREAT .": 1,
    "IT SURELY TASTE VERY ADJECTIVE .": 1,
    "GUEST KNOW IT BE GREAT .": 1,
    "GUEST SURELY LOVE THEM ASIDE .": 2,
    "i LOVE THEM because IT BE ADJECTIVE .": 1,
    "IT SURELY MAKE US HAPPY .": 1,
    "GUEST SURELY LEAVE HAPPY ASIDE .": 1,
    "you should SURELY TRY THEM ASIDE .": 1,
    "TODAY the NOUN BE SURELY GREAT .": 1,
}
N_SENTENCES = {1: 3, 2: 4, 3: 3}


def draw_setting(random: Random) -> Setting:
    """A noun and one side of every concept, all uniform and independent."""
    return random.choice(settings_of(random.choice(tuple(NOUNS.values()))))


def draw_query(random: Random, setting: Setting, reveal: bool = True) -> str:
    """A question about the noun, after a line that may reveal who speaks; without `reveal`, never after such a line."""
    return draw_line(random, setting, *([REVEALS] if reveal else []), QUESTIONS)


def reveal(concept: str, side: int) -> str:
    """The line that gives away one side (+1 or -1) of one concept, and nothing of the others."""
    setting = replace(example_settings()[0], **{concept: side})
    pattern = list(REVEALS)[-1]
    both = [(setting.forms(part), setting.flipped(concept).forms(part)) for part in pattern.split()]
    differ = [[one.words != other.words for one, other in zip(*sides, strict=True)] for sides in both]
    # The first entry of a slot leaves it out.
    chosen = tuple(entries.index(True) if any(entries) else 0 for entries in differ)
    return " ".join(Sentence(pattern, chosen).words(setting))


def draw_derivation(random: Random, setting: Setting) -> tuple[Sentence, ...]:
    """The sentences of an answer."""
    return draw_sentences(random, setting, OPENINGS, SEQUELS, N_SENTENCES)


def sample(n_texts: int, seed: int = 0, reveal: bool = True) -> tuple[Text, ...]:
    """Pages of the guestbook; without `reveal`, no query says who speaks."""
    random = Random(f"texts {seed}")
    return tuple(draw_text(random, reveal) for _ in range(n_texts))


def draw_text(random: Random, reveal: bool = True) -> Text:
    """One page of the guestbook."""
    setting = draw_setting(random)
    return Text(setting, draw_query(random, setting, reveal), realise(draw_derivation(random, setting), setting))


def log_probability(answer: str, query: str) -> float:
    """log P(answer | query) in nats over all settings and all derivations; -inf for what no guest says.

    Only the query tells who speaks, so a line that reveals a concept makes its other side impossible.
    """
    settings = settings_of(noun_asked(query))
    queries = [_query_probability(query, setting) for setting in settings]
    both = sum(
        probability * _answer_probability(answer, setting)
        for probability, setting in zip(queries, settings, strict=True)
        if probability
    )
    return log(both / sum(queries)) if both else -inf


def query_log_probability(query: str) -> float:
    """log P(query) in nats, over all settings."""
    settings = settings_of(noun_asked(query))
    return log(sum(_query_probability(query, setting) for setting in settings) / len(settings) / len(NOUNS))


def noun_asked(query: str) -> Noun:
    """The noun that a query of the guestbook is about."""
    return noun_in(query, lambda noun: any(_query_probability(query, setting) for setting in settings_of(noun)))


def revealed(query: str) -> dict[str, int]:
    """The concepts that a query gives away, each with its side."""
    possible = [setting for setting in settings_of(noun_asked(query)) if _query_probability(query, setting)]
    sides = {concept: {getattr(setting, concept) for setting in possible} for concept in CONCEPTS}
    return {concept: side.pop() for concept, side in sides.items() if len(side) == 1}


@lru_cache(maxsize=2**16)
def _query_probability(query: str, setting: Setting) -> float:
    return query_probability(query, setting, REVEALS, QUESTIONS)


def _answer_probability(answer: str, setting: Setting) -> float:
    return answer_probability(answer, setting, OPENINGS, SEQUELS, N_SENTENCES)


def vocabulary() -> tuple[str, ...]:
    """Every word of the language, special tokens first: the place of a word is its token."""
    parts = {
        part for patterns in (REVEALS, QUESTIONS, OPENINGS, SEQUELS) for pattern in patterns for part in pattern.split()
    }
    words = {
        word for part in parts for setting in example_settings() for form in setting.forms(part) for word in form.words
    }
    return (PAD, BOS, EOS, UNKNOWN, *sorted(words | set(NOUNS)))
