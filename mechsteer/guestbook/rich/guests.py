"""Who speaks: how much of each concept a guest has, at which time of the year, and whether with care.

Concepts are graded: a level of z makes a positive cue 3^z times as likely as a negative one, so that a single cue tells
little. How common the positive side is depends on the kind of noun. Guests of some concepts' positive side take more care,
by as much as makes concept and valid answers correlate as planned. The season is an angle, anywhere on the circle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from math import pi, sqrt
from random import Random
from types import MappingProxyType
from typing import Any

import numpy as np

from ..words import Form, Noun
from .words import GRADED, TELLS, choices

LEVELS = (-2, -1, 1, 2)
ODDS = 3.0
"""Of a positive cue at level one; at level two, its square."""
KINDS = ("food", "place", "person", "thing")
COMMON = (0.55, 0.65, 0.75, 0.8)
"""How common a concept's positive side is, over the kinds of nouns; the next concept begins with the next kind."""
CARE, SLIP = 0.7, 0.5
"""The share of careful guests, who never slip, and how often a careless one does where a verb has a number."""
CORRELATION: Mapping[str, float] = MappingProxyType({"praise": 0.6, "assurance": 0.3, "register": 0.0})
"""Of a concept's side and whether the answer is valid, for every noun."""
SHARPNESS = 3.0
"""κ: a word of the season at angle a is said at angle θ as often as exp(κ cos(θ - a))."""
N_ANGLES = 60
"""By which integrals over the season are exact: a trapezoid rule on a circle errs by the first harmonic it cannot see."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What a guest has in mind. Fields that are arrays, broadcast, stand for many guests at once."""

    noun: Noun
    praise: Any
    assurance: Any
    register: Any
    season: Any
    """Radians, from midsummer on."""
    care: Any
    """+1 or -1."""
    _known: dict[str, tuple[Form, ...]] = field(default_factory=dict, init=False, repr=False)

    def forms(self, part: str) -> tuple[Form, ...]:
        """What a part of a pattern may be, as often as this guest says it."""
        if part not in self._known:
            concept, found = TELLS.get(part, ""), choices(part, self.noun)
            likely = self._likely(concept, [choice.value for choice in found])
            pairs = zip(found, likely, strict=True)
            self._known[part] = tuple(Form(choice.words, choice.share * weight) for choice, weight in pairs)
        return self._known[part]

    def _likely(self, concept: str, values: list[float]) -> list[Any]:
        """P(value) for each value that a slot may tell of a concept."""
        if concept == "season":
            weights = np.exp(SHARPNESS * np.cos(np.asarray(self.season)[..., None] - np.array(values)))
            return list(np.moveaxis(weights / weights.sum(axis=-1, keepdims=True), -1, 0))
        if concept == "care":
            slips = SLIP * (1 - self.care) / 2
            return [1 - slips if value > 0 else slips for value in values]
        if concept:
            level = getattr(self, concept)
            return [1 / (1 + ODDS ** (-value * level)) for value in values]
        return [1.0] * len(values)


def positive_share(concept: str, noun: Noun, care: Any, correlation: float) -> Any:
    """P(positive side | care, noun), where side and care correlate."""
    share = COMMON[(KINDS.index(noun.kind) + GRADED.index(concept)) % len(COMMON)]
    # Of two binary variables, the correlation and both marginals settle the joint.
    leaning = (1 + care - 2 * CARE) / 2 / sqrt(CARE * (1 - CARE))
    return share + correlation * sqrt(share * (1 - share)) * leaning


def draw_setting(random: Random, noun: Noun, with_care: Mapping[str, float], **known: Any) -> Setting:
    """A guest who speaks of a noun; `with_care` says how each graded concept correlates with care, and what is known is kept."""
    care = known.get("care", 1 if random.random() < CARE else -1)
    fields: dict[str, Any] = {"care": care}
    for concept, correlation in with_care.items():
        strength = random.choice((1, 2))
        is_positive = random.random() < positive_share(concept, noun, care, correlation)
        fields[concept] = strength if is_positive else -strength
    fields["season"] = 2 * pi * random.random()
    return Setting(noun, **fields | known)


@cache
def all_settings(noun: Noun, n_angles: int = N_ANGLES) -> Setting:
    """Every guest who may speak of a noun at once: care, the levels of the graded concepts and the season are an axis each."""
    care, *levels, step = np.ix_((1, -1), *[LEVELS] * len(GRADED), range(n_angles))
    return Setting(noun, *levels, season=2 * pi * step / n_angles, care=care)


def prior(settings: Setting, with_care: Mapping[str, float]) -> Any:
    """How likely each of all settings of a noun is."""
    share: Any = np.where(settings.care > 0, CARE, 1 - CARE) * np.full_like(settings.season, 1 / settings.season.size)
    for concept, correlation in with_care.items():
        positive = positive_share(concept, settings.noun, settings.care, correlation)
        share = share * np.where(getattr(settings, concept) > 0, positive, 1 - positive) / 2
    return share
