"""Polarity pairs of the rich guestbook: one derivation and its opposite in every cue of a concept."""

from math import cos
from random import Random

from ...errors import InputError
from ...pairs.polarity import Pairs
from ..pages import realise
from ..polarity import distinct_pairs, nouns_of
from .grammar import draw_derivation, draw_guest, draw_query, flipped
from .guests import LEVELS, Setting
from .words import CONCEPTS, GRADED


def pairs(concept: str, n_pairs: int = 400, seed: int = 0) -> Pairs:
    """Distinct pairs, evenly over the topics, equal but for the concept; their queries tell nothing of any concept.

    Positive is what a guest of the positive side has said: praise, assurance, formal words, summer, verbs without a slip. As
    cues are weak, some guests have said more of the other side's words, and the checker's values tell in which pairs. But
    for care's, no pair has a slip on either side.
    """
    if concept not in CONCEPTS:
        raise InputError(f"The rich guestbook has no concept {concept!r}. Choose one of {', '.join(CONCEPTS)}.")
    return Pairs(distinct_pairs(_draw, concept, n_pairs, f"rich {concept} {seed}"), f"guestbook-rich/{concept}")


def _draw(random: Random, topic: str, concept: str) -> tuple[str, str, str]:
    noun = random.choice(nouns_of(topic))
    # From either side as often: drawn from the common one, its words would be likelier than their opposites.
    side = {concept: random.choice(LEVELS)} if concept in GRADED else {}
    setting = draw_guest(random, noun, care=1, **side)
    derivation = draw_derivation(random, setting)
    told = derivation, flipped(derivation, concept, noun)
    positive, negative = told if _is_positive(setting, concept) else told[::-1]
    return draw_query(random, setting, reveal=False), realise(positive, setting), realise(negative, setting)


def _is_positive(setting: Setting, concept: str) -> bool:
    return cos(setting.season) > 0 if concept == "season" else getattr(setting, concept) > 0
