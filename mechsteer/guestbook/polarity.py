"""Polarity pairs of the guestbook: one derivation, told from both sides of a concept."""

from collections.abc import Iterator
from itertools import cycle, islice
from random import Random

from ..errors import InputError
from ..pairs.polarity import Pairs, PolarityPair
from .grammar import draw_derivation, draw_query, realise
from .words import CONCEPTS, NOUNS, TOPICS, settings_of


def pairs(concept: str, n_pairs: int = 400, seed: int = 0) -> Pairs:
    """Distinct pairs, evenly over the topics, equal but for the concept; their queries tell nothing of any concept.

    Positive is praise, sure or present. A topic is a group, and more pairs of one seed begin with the same ones.
    """
    if concept not in CONCEPTS:
        raise InputError(f"The guestbook has no concept {concept!r}. Choose one of {', '.join(CONCEPTS)}.")
    return Pairs(tuple(islice(_pairs(concept, seed), n_pairs)), f"guestbook/{concept}")


def _pairs(concept: str, seed: int) -> Iterator[PolarityPair]:
    random = Random(f"{concept} {seed}")
    topics = random.sample(TOPICS, len(TOPICS))
    counts = dict.fromkeys(topics, 0)
    seen = set()
    for topic in cycle(topics):
        query, positive, negative = _draw(random, topic, concept)
        while (query, positive) in seen:
            query, positive, negative = _draw(random, topic, concept)
        seen.add((query, positive))
        yield PolarityPair(query, positive, negative, id=f"{topic}-{counts[topic]}", group=topic)
        counts[topic] += 1


def _draw(random: Random, topic: str, concept: str) -> tuple[str, str, str]:
    noun = random.choice([noun for noun in NOUNS.values() if noun.topic == topic])
    setting = random.choice(settings_of(noun))
    # Drawn from a random side: drawn from the positive one, its words would be likelier than their opposites.
    derivation = draw_derivation(random, setting)
    mirrored = setting.flipped(concept)
    positive, negative = (setting, mirrored) if getattr(setting, concept) > 0 else (mirrored, setting)
    return draw_query(random, setting, reveal=False), realise(derivation, positive), realise(derivation, negative)
