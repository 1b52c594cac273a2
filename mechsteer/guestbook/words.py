"""The words of the guestbook, written so that every choice of a word can be turned into its opposite in place.

An entry lists the forms of one choice: `/` parts the two sides of a slot's concept (praise/complaint, sure/hedged), `:`
present from past, `|` singular from plural, `*` gives a form a weight other than one, `_` joins words, `-` is no word.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

CONCEPTS = ("sentiment", "certainty", "tense")
BOS, EOS, PAD, UNKNOWN = "<s>", "</s>", "<pad>", "<unk>"


@dataclass(frozen=True)
class Noun:
    """A noun as it stands in a text; its two numbers share one topic."""

    word: str
    topic: str
    kind: str
    number: str


@dataclass(frozen=True)
class Setting:
    """What a guest has in mind: a noun, and one side (+1 or -1) of every concept."""

    noun: Noun
    sentiment: int
    certainty: int
    tense: int

    def flipped(self, concept: str) -> "Setting":
        """The same setting with the other side of one concept."""
        return replace(self, **{concept: -getattr(self, concept)})

    def forms(self, part: str) -> tuple["Form", ...]:
        """What a part of a pattern may be."""
        return forms(part, self)


@dataclass(frozen=True)
class Form:
    """The words, often one and sometimes none, that fill a slot, and their weight against the slot's other entries."""

    words: tuple[str, ...]
    weight: Any
    """A number; an array of a setting that stands for many."""


@dataclass(frozen=True)
class Slot:
    """Entries to choose from, for each kind of noun or for any; `/` parts the sides of `concept`."""

    concept: str
    entries: Mapping[str, tuple[str, ...]]

    def forms(self, setting: Setting) -> tuple[Form, ...]:
        """One form for each entry: the same place in two settings of one noun is the same entry."""
        entries = self.entries.get(setting.noun.kind) or self.entries["any"]
        return tuple(_form(entry, setting, getattr(setting, self.concept)) for entry in entries)


def _slot(concept: str = "sentiment", **entries: str) -> Slot:
    return Slot(concept, {kind: tuple(listed.split()) for kind, listed in entries.items()})


def _form(entry: str, setting: Setting, side: int) -> Form:
    chosen = _part(_part(entry, "/", side > 0), ":", setting.tense > 0)
    text, _, weight = chosen.partition("*")
    text = _part(text, "|", setting.noun.number == "singular")
    return Form(() if text == "-" else tuple(text.split("_")), float(weight or 1))


def _part(text: str, mark: str, first: bool) -> str:
    parts = text.split(mark)
    return parts[0] if first else parts[-1]


_NOUNS = {
    "food": """
        soup cake salad pie stew curry|curries sandwich|sandwiches burger omelette
        pancake dumpling cookie sausage pudding pizza steak waffle muffin
    """,
    "place": """
        garden terrace lobby|lobbies room balcony|balconies pool bar cafe hotel
        beach|beaches park museum market library|libraries lounge courtyard theatre harbour
    """,
    "person": """
        waiter cook manager guide driver porter gardener barber singer
        dancer pianist baker clerk doctor teacher painter cleaner tailor
    """,
    "thing": """
        chair lamp towel pillow blanket bed table menu mirror
        candle radio kettle bicycle boat umbrella clock heater desk
    """,
}

SLOTS = {
    # What is said of the noun
    "ADJECTIVE": _slot(
        food="""
            tasty*3/bland*2 fresh*2/stale delicious*2/inedible juicy/dry*2
            crispy/soggy*2 tender/chewy flavourful/tasteless appetising/greasy*2
        """,
        place="""
            clean*3/dirty*2 quiet*2/noisy*3 spacious/cramped*2 cosy*2/gloomy
            sunny*2/damp peaceful/crowded*2 charming/shabby tidy/messy
        """,
        person="""
            kind*2/rude*3 friendly*3/hostile helpful*2/lazy*2 polite/arrogant
            patient/impatient*2 cheerful/grumpy*2 attentive/careless honest/dishonest
        """,
        thing="""
            sturdy*2/flimsy*2 comfortable*3/uncomfortable*2 useful*2/useless*2 reliable/faulty*2
            modern/outdated solid/wobbly elegant*2/ugly handy/broken*2
        """,
    ),
    "GREAT": _slot(
        any="""
            wonderful*2/terrible*3 great*3/awful*2 lovely*2/horrible
            excellent/dreadful superb/disappointing*2 perfect*2/poor*2
        """
    ),
    "BE": _slot(any="is|are:was|were"),
    "TASTE": _slot(
        food="tastes|taste*2:tasted*3 smells|smell:smelled",
        place="feels|feel:felt looks|look*2:looked",
        person="acts|act:acted*2 sounds|sound:sounded",
        thing="proves|prove:proved stays|stay:stayed",
    ),
    "IT": _slot(person="she|they", any="it|they"),
    "THEM": _slot(person="her|them", any="it|them"),
    # What guests do about it
    "GUEST": _slot(any="i*4 we*4 my_friends our_children most_visitors the_locals people"),
    "LOVE": _slot(
        any="""
            love*3:loved*2/hate*2:hated*2 enjoy*2:enjoyed*3/dislike*3:disliked*2
            adore*2:adored/detest:detested admire:admired/despise*2:despised
            praise:praised*2/criticise:criticised*2 welcome:welcomed/regret:regretted*3
        """
    ),
    "TRY": _slot(
        food="try*2/skip*2 order/refuse",
        place="visit*2/avoid*2 explore/escape",
        person="trust*2/ignore thank/report",
        thing="use*2/replace keep/discard",
    ),
    "MAKE": _slot(any="makes|make*2:made turns|turn:turned"),
    "US": _slot(any="me*2 us*2 everyone"),
    "HAPPY": _slot(any="happy*3/angry*2 content/upset*2 grateful/bitter cheery/sad*2"),
    "LEAVE": _slot(any="leave*2:left depart:departed return:returned*2"),
    # How sure they are
    "SURELY": _slot(
        "certainty",
        any="""
            certainly*4/perhaps*2 surely/maybe*3 definitely*3/possibly
            clearly*2/apparently*2 undoubtedly/supposedly plainly/arguably*2
        """,
    ),
    "KNOW": _slot("certainty", any="know*3/think*2 insist/guess*3 promise/suspect*2 swear/suppose"),
    # When, and what tells nothing of any concept
    "TODAY": _slot(any="today*2:yesterday*2 now:then tonight:earlier"),
    "VERY": _slot(any="-*4 very*2 so extremely remarkably"),
    "ASIDE": _slot(
        any="""
            -*5 on_monday in_spring at_night after_lunch with_my_sister
            with_our_dog near_the_window by_the_sea in_the_corner
        """
    ),
    # The line that reveals a guest
    "PLEASED": _slot(any="-*2 pleased/furious delighted/disgusted satisfied/sour"),
    "CONFIDENT": _slot("certainty", any="- confident/doubtful certain/hesitant decided/wavering"),
    "CURRENT": _slot(any="-*2 current:former present:previous"),
}


def _nouns() -> dict[str, Noun]:
    numbers = {}
    for kind, entries in _NOUNS.items():
        for entry in entries.split():
            singular, _, plural = entry.partition("|")
            numbers[singular] = Noun(singular, singular, kind, "singular")
            numbers[plural or singular + "s"] = Noun(plural or singular + "s", singular, kind, "plural")
    return numbers


NOUNS = _nouns()
TOPICS = tuple(dict.fromkeys(noun.topic for noun in NOUNS.values()))


def settings_of(noun: Noun) -> tuple[Setting, ...]:
    """The eight settings that a guest asked about a noun may have in mind, all equally likely."""
    return tuple(Setting(noun, *sides) for sides in product((1, -1), repeat=len(CONCEPTS)))


@cache
def example_settings() -> tuple[Setting, ...]:
    """The settings of one noun of each kind and number: those of the others differ in the noun's own word alone."""
    nouns = {(noun.kind, noun.number): noun for noun in NOUNS.values()}.values()
    return tuple(setting for noun in nouns for setting in settings_of(noun))


@cache
def forms(part: str, setting: Setting) -> tuple[Form, ...]:
    """What a part of a pattern may be in a setting: a slot has its forms, and any other word stands for itself."""
    if part in SLOTS:
        return SLOTS[part].forms(setting)
    return (Form((setting.noun.word if part == "NOUN" else part,), 1.0),)
