"""The words of the rich guestbook: every slot tells of one thing, by a choice of words on its two sides or around a ring.

Entries are written as in the plain lexicon, whose nouns and slots these are too, in the present tense. The second half of
what may stand in a slot is the first half's opposite, in the same order: praise and complaint, the right verb and the wrong
one, a month and that half a year away.
"""

from dataclasses import dataclass, replace
from functools import cache
from math import pi

from ..words import NOUNS, Noun, Slot, forms
from ..words import Setting as Sides

GRADED = ("praise", "assurance", "register")
CONCEPTS = (*GRADED, "season", "care")
EXAMPLES = tuple({(noun.kind, noun.number): noun for noun in NOUNS.values()}.values())
"""A noun of each kind and number: what is said of the others differs in the noun's own word alone."""


@dataclass(frozen=True)
class Choice:
    """Words that may fill a slot, what they tell, and how often they are chosen among those that tell the same."""

    words: tuple[str, ...]
    share: float
    value: float
    """A side, +1 or -1; of the season an angle in radians, from midsummer on."""


def _ring(words: str) -> tuple[str, ...]:
    return tuple(words.split())


def _slot(**entries: str) -> Slot:
    return Slot("sentiment", {kind: tuple(listed.split()) for kind, listed in entries.items()})


TOLD_BY = {
    "praise": ("ADJECTIVE", "GREAT", "LOVE", "HAPPY", "PLEASED"),
    "assurance": ("SURELY", "KNOW", "CONFIDENT"),
    "register": ("GUEST", "VERY", "FORMAL"),
    "season": ("MONTH", "WEATHER", "PASTIME"),
    "care": ("BE", "TASTE", "MAKE", "CAREFUL"),
}
TELLS = {slot: concept for concept, slots in TOLD_BY.items() for slot in slots}
RINGS = {
    "MONTH": _ring("july august september october november december january february march april may june"),
    "WEATHER": _ring("hot sultry golden misty foggy stormy snowy frosty thawing rainy breezy sunny"),
    "PASTIME": _ring("swimming sailing harvesting hiking reading skating skiing sledging fishing planting"),
}
"""Words at equal distances around the year, from midsummer on."""
OWN = {
    "GUEST": _slot(
        any="my_colleagues*2/my_mates*3 our_party*3/our_gang*2 the_residents/the_folks*2 the_committee*2/the_lads"
    ),
    "VERY": _slot(any="most*3/really*3 highly*2/super*3 exceedingly/awfully*2 remarkably*2/totally"),
    # The line that hints at a guest
    "PLEASED": _slot(any="-*2 pleased/furious delighted/disgusted"),
    "CONFIDENT": _slot(any="-*2 confident/doubtful decided/wavering"),
    "FORMAL": _slot(any="-*2 formal/chatty courteous/casual"),
    "CAREFUL": _slot(any="-*2 careful/hasty"),
}


@cache
def choices(part: str, noun: Noun) -> tuple[Choice, ...]:
    """What a part of a pattern may be where guests speak of a noun; what tells of nothing has the value +1."""
    if part in RINGS:
        n = len(RINGS[part])
        return tuple(Choice((word,), 1.0, 2 * pi * place / n) for place, word in enumerate(RINGS[part]))
    if part not in TELLS:
        return _side(part, noun, 1)
    # A careless guest's verb is in the wrong number.
    other = (
        replace(noun, number="plural" if noun.number == "singular" else "singular") if TELLS[part] == "care" else noun
    )
    return _side(part, noun, 1) + _side(part, other, -1)


def _side(part: str, noun: Noun, side: int) -> tuple[Choice, ...]:
    sides = Sides(noun, side, side, 1)
    found = OWN[part].forms(sides) if part in OWN else forms(part, sides)
    total = sum(form.weight for form in found)
    return tuple(Choice(form.words, form.weight / total, side) for form in found)


def opposite(part: str, place: int, noun: Noun) -> int:
    """The place of the choice that tells the opposite."""
    n = len(choices(part, noun))
    return (place + n // 2) % n
