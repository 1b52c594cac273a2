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
    """Forwards of a training: a backward takes twice one, and small batches a third more than a sweep's."""
    recipe = unit.training.settled(unit.method, unit.form)
    return 4.0 * recipe.n_steps(unit.pairs.n) * recipe.batch_size * recipe.accumulate


def _n_multipliers(unit: Any) -> int:
    return unit.multipliers.n if isinstance(unit.multipliers, FindRange) else len(unit.multipliers)


def _some(pairs: Iterable[Any], most: int) -> int:
    return sum(min(most, item.n) for item in pairs)


ALONE = 4.0
"""Of a pair that is read at one multiplier alone: what lies before the site, and the query, serve no other multiplier."""
WRITTEN = 5.0
"""Of a text of 48 tokens that is written; where pairs are as long as stories are."""
PASSES: dict[str, Callable[[Any], float]] = {
    "sites": lambda unit: 4 * unit.model.n_layers * 11 * min(32, unit.pairs.n // 2),
    # Its range is looked for on eight pairs, which are few for a batch.
    "trial": lambda unit: _trained(unit.steer) + 2 * (40 * 8 + 21 * min(32, unit.steer.pairs.n // 5)),
    "steer": lambda unit: _trained(unit) if unit.is_trained else ALONE * unit.pairs.n,
    "range": lambda unit: 40 * min(32, unit.pairs.n),
    "sweep": lambda unit: _n_multipliers(unit) * unit.pairs.n,
    "prompting": lambda unit: 2 * unit.sweep.pairs.n,
    "forecast": lambda unit: ALONE * (unit.learning.n + unit.testing.n),
    "second utility": lambda unit: 16 * _n_multipliers(unit.sweep),
    "map": lambda unit: 2 * ALONE * unit.learning.n,
    "followed tokens": lambda unit: ALONE * unit.map.learning.n + 9 * min(40, unit.sweep.pairs.n),
    # Three completions of each query are written, half as long, and swept; two are a pair.
    "coverage": lambda unit: (
        3 * (WRITTEN / 2 + 13 / 2) * min(160, unit.sweep.pairs.n) + 13 * sum(pairs.n for pairs in unit.second)
    ),
    "side effects": lambda unit: 9 * _some((unit.sweep.pairs, *unit.others), 64),
    "side effects by layer": lambda unit: 4 * unit.sites.model.n_layers * _some(unit.others, 32),
    "answers": lambda unit: 40 * 32,
    "texts": lambda unit: WRITTEN * 6 * _n_multipliers(unit.sweep),
    "samples": lambda unit: (
        WRITTEN * unit.max_new_tokens / 48 * unit.n_queries * unit.n_samples * _n_multipliers(unit.sweep)
    ),
    "edited weights": lambda unit: 2 * ALONE * min(24, unit.sweep.pairs.n),
    "frozen norms": lambda unit: 5 * 11 * min(48, unit.sweep.pairs.n),
    "chance": lambda unit: 49 * 6 * min(32, unit.sweep.pairs.n),
    "evidence": lambda unit: 18 * unit.sweep.pairs.n,
    # At three lengths sixteen texts of 32 tokens are written and read, and neutral ones read; pairs are looked at besides.
    "panel": lambda unit: (
        unit.n_directions * (3 * 16 * WRITTEN * 32 / 48 + 48 * ALONE + 7 * 8 + 6 * min(24, unit.sweep.pairs.n // 2))
    ),
}
"""By kind of unit, what it takes in pairs of a sweep, at one multiplier each: as counted in what it does, and held against what
models of 135 and 270 million parameters took (LOG.md)."""
BESIDES = {
    "tokens": 5.0,
    "sites": 10.0,
    "fit": 8.0,
    "frontier": 3.0,
    "pairs steered": 0.3,
    "two options": 0.3,
    "map": 6.0,
    "followed tokens": 1.5,
    "scores": 5.0,
    "reliability": 1.0,
    "corrected differences": 1.0,
    "claim": 2.0,
    "evidence": 2.0,
    "panel": 60.0,
}
"""Seconds of one core that a unit takes whatever the model; tokens come first, and open the model."""


@dataclass
class Costs:
    """Seconds of units, from those that are done: of the same kind and model where there are any, else by what they pass through
    the model, and what they take whatever the model."""

    rates: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """By the model's weights, and by kind, seconds for each pass; where a kind counts none, for each unit."""

    def add(self, unit: Unit, seconds: float) -> None:
        """Learn from a unit that is done."""
        if size := _size(unit):
            self.rates[weights_of(unit)][unit.kind].append(seconds / size)

    def seconds(self, units: Iterable[Unit]) -> float | None:
        """Of all of them, one after the other; None where nothing is known yet of a model that they need."""
        found = [self.of(unit) for unit in units]
        return None if None in found else float(sum(filter(None, found)))

    def of(self, unit: Unit) -> float | None:
        """Of one of them. The median of those that are done, for one that a busy machine held up says nothing of the next."""
        known = self.rates.get(weights_of(unit), {})
        if like := known.get(unit.kind):
            return _size(unit) * float(np.median(like))
        besides = BESIDES.get(unit.kind, 0.0)
        if unit.kind not in PASSES:
            return besides
        # A sweep is nothing but passes.
        rates = known.get("sweep") or [rate for kind, some in known.items() if kind in PASSES for rate in some]
        return _size(unit) * float(np.median(rates)) + besides if rates else None


def _size(unit: Unit) -> float:
    """In passes; one where a kind counts none."""
    return PASSES[unit.kind](unit) if unit.kind in PASSES else 1.0


def weights_of(unit: Any) -> str:
    """The model that a unit is about, by its weights; of a unit that says none, that of one that it names."""
    for value in vars(unit).values():
        if isinstance(value, ModelReference):
            return value.weights
    named = (*unit.inputs, *(value for value in vars(unit).values() if isinstance(value, Unit)))
    return next((found for other in named if (found := weights_of(other))), "")
