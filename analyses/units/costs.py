"""What units cost: in pairs of a sweep, and in seconds whatever the model; learnt from those that are done."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mechsteer.models.identity import ModelReference
from mechsteer.store.units import Unit

from .steers import FindRange


def _trained(unit: Any) -> float:
    """Forwards of a training: a backward takes twice one, and small batches two thirds more than a sweep's."""
    recipe = unit.training.settled(unit.method, unit.form)
    steps = recipe.steps or (recipe.epochs or 1) * unit.pairs.n // recipe.batch_size
    return 5.0 * steps * recipe.batch_size * recipe.accumulate


def _n_multipliers(unit: Any) -> int:
    return unit.multipliers.n if isinstance(unit.multipliers, FindRange) else len(unit.multipliers)


def _others(unit: Any) -> int:
    return sum(pairs.n for pairs in unit.others)


PASSES: dict[str, Callable[[Any], float]] = {
    "sites": lambda unit: 4 * unit.model.n_layers * 10 * 32,
    "trial": lambda unit: _trained(unit.steer) + 2 * 21 * 32,
    "steer": lambda unit: _trained(unit) if unit.is_trained else unit.pairs.n,
    "range": lambda unit: 40 * 32,
    "sweep": lambda unit: _n_multipliers(unit) * unit.pairs.n,
    "prompting": lambda unit: 2 * unit.sweep.pairs.n,
    "forecast": lambda unit: unit.learning.n + unit.testing.n,
    "second utility": lambda unit: 8 * _n_multipliers(unit.sweep),
    "coverage": lambda unit: 8 * 3 * min(160, unit.sweep.pairs.n) + 13 * sum(pairs.n for pairs in unit.second),
    "side effects": lambda unit: 5 * _others(unit),
    "side effects by layer": lambda unit: 4 * unit.sites.model.n_layers * _others(unit),
    "answers": lambda unit: 40 * 32,
    "texts": lambda unit: 24 * _n_multipliers(unit.sweep),
    "samples": lambda unit: 4 * unit.n_queries * unit.n_samples * _n_multipliers(unit.sweep),
    "edited weights": lambda unit: 6 * 24,
    "frozen norms": lambda unit: 5 * 11 * min(48, unit.sweep.pairs.n),
    "chance": lambda unit: 25 * 6 * min(32, unit.sweep.pairs.n),
    "evidence": lambda unit: 4 * _n_multipliers(unit.sweep) * unit.sweep.pairs.n,
    "panel": lambda unit: 1500 * unit.n_directions,
}
"""By kind of unit, what it takes in pairs of a sweep, at one multiplier each; as measured in a study of the guestbook."""
BESIDES = {
    "tokens": 0.1,
    "fit": 4.0,
    "frontier": 3.0,
    "pairs steered": 0.3,
    "two options": 0.3,
    "scores": 5.0,
    "reliability": 1.0,
    "corrected differences": 1.0,
    "claim": 2.0,
    "evidence": 2.0,
}
"""Seconds of one core that a unit takes whatever the model."""


@dataclass
class Costs:
    """Seconds of units by kind and model."""

    took: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    """What units of a kind took with a model, of those that are done."""
    passes: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """By the model's weights, and by kind, seconds that a pair takes through it at one multiplier."""

    def add(self, unit: Unit, seconds: float) -> None:
        """Learn from a unit that is done."""
        self.took[unit.kind, weights_of(unit)].append(seconds)
        if unit.kind in PASSES and (passes := PASSES[unit.kind](unit)):
            self.passes[weights_of(unit)][unit.kind].append(seconds / passes)

    def seconds(self, units: Iterable[Unit]) -> float | None:
        """Of all of them, one after the other; None where nothing is known yet of a model that they need."""
        found = [self.of(unit) for unit in units]
        return None if None in found else float(sum(filter(None, found)))

    def of(self, unit: Unit) -> float | None:
        """Of one of them."""
        weights = weights_of(unit)
        if like := self.took.get((unit.kind, weights)):
            return float(np.mean(like))
        besides = BESIDES.get(unit.kind, 0.0)
        if unit.kind not in PASSES:
            return besides
        # A sweep is nothing but passes.
        known = self.passes.get(weights, {})
        rates = known.get("sweep") or [rate for some in known.values() for rate in some]
        return PASSES[unit.kind](unit) * float(np.median(rates)) + besides if rates else None


def weights_of(unit: Any) -> str:
    """The model that a unit is about, by its weights; of a unit that says none, that of one that it names."""
    for value in vars(unit).values():
        if isinstance(value, ModelReference):
            return value.weights
    named = (*unit.inputs, *(value for value in vars(unit).values() if isinstance(value, Unit)))
    return next((found for other in named if (found := weights_of(other))), "")
