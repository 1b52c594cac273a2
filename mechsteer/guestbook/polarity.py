"""Polarity pairs of the guestbook: one derivation, told from both sides of a concept."""

from collections.abc import Callable
from functools import cache
from itertools import cycle, islice
from random import Random

from ..errors import InputError
from ..pairs.polarity import Pairs, PolarityPair
from .grammar import draw_derivation, draw_query, realise
from .words import CONCEPTS, NOUNS, TOPICS, Noun, settings_of


def pairs(concept: str, n_pairs: int = 400, seed: int = 0) -> Pairs:
    """Distinct pairs, evenly over the topics, equal but for the concept; their queries tell nothing of any concept.

    Positive is praise, sure or present. A topic is a group, and more pairs of one seed begin with the same ones.
    """
    if concept not in CONCEPTS:
        raise InputError(f"The guestbook has no concept {concept!r}. Choose one of {', '.join(CONCEPTS)}.")
    return Pairs(distinct_pairs(_draw, concept, n_pairs, f"{concept} {seed}"), f"guestbook/{concept}")


@cache  # the cells of a campaign share them
def distinct_pairs(
    draw: Callable[[Random, str, str], tuple[str, str, str]], concept: str, n_pairs: int, seed: str
) -> tuple[PolarityPair, ...]:
    """As many pairs of different texts as asked for, drawn for one topic after another."""
    random = Random(seed)
    topics = random.sample(TOPICS, len(TOPICS))
    counts = dict.fromkeys(topics, 0)
    seen = set()
    found = []
    for topic in islice(cycle(topics), n_pairs):
        query, positive, negative = draw(random, topic, concept)
        while (query, positive) in seen or positive == negative:
            query, positive, negative = draw(random, topic, concept)
        seen.add((query, positive))
        found.append(PolarityPair(query, positive, negative, id=f"{topic}-{counts[topic]}", group=topic))
        counts[topic] += 1
    return tuple(found)


def nouns_of(topic: str) -> list[Noun]:
    """Both numbers."""
    return [noun for noun in NOUNS.values() if noun.topic == topic]


def _draw(random: Random, topic: str, concept: str) -> tuple[str, str, str]:
    noun = random.choice(nouns_of(topic))
    setting = random.choice(settings_of(noun))
    # Drawn from a random side: drawn from the positive one, its words would be likelier than their opposites.
    derivation = draw_derivation(random, setting)
    mirrored = setting.flipped(concept)
    positive, negative = (setting, mirrored) if getattr(setting, concept) > 0 else (mirrored, setting)
    return draw_query(random, setting, reveal=False), realise(derivation, positive), realise(derivation, negative)
