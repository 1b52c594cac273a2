"""About how long what is left of a campaign takes: by what like units took, else by forwards that are measured."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mechsteer.models.identity import ModelReference
from mechsteer.models.sites import parse_sites
from mechsteer.store.store import Store
from mechsteer.store.units import Unit

from ..studies.study import Models, checked_pairs
from ..units.steers import FindRange, Learn
from .plan import Cell
from .survey import MISSING, CellState

N_MEASURED, MEASURED_AT = 16, (-1.0, 0.0, 1.0)
"""Pairs and multipliers of the forwards that are measured."""


def _trained(unit: Any) -> float:
    """Forwards of a training; a backward takes twice one."""
    recipe = unit.training.settled(unit.method, unit.form)
    steps = recipe.steps or (recipe.epochs or 1) * unit.pairs.n // recipe.batch_size
    return 3.0 * steps * recipe.batch_size * recipe.accumulate


def _n_multipliers(unit: Any) -> int:
    return unit.multipliers.n if isinstance(unit.multipliers, FindRange) else len(unit.multipliers)


def _others(unit: Any) -> int:
    return sum(pairs.n for pairs in unit.others)


PASSES: dict[str, Callable[[Any], float]] = {
    "sites": lambda unit: 4 * unit.model.n_layers * 10 * 32,
    "trial": lambda unit: _trained(unit.steer) + 21 * 32,
    "steer": lambda unit: _trained(unit) if unit.is_trained else unit.pairs.n,
    "range": lambda unit: 40 * 32,
    "sweep": lambda unit: _n_multipliers(unit) * unit.pairs.n,
    "prompting": lambda unit: 2 * unit.sweep.pairs.n,
    "forecast": lambda unit: unit.learning.n + unit.testing.n,
    "second utility": lambda unit: 8 * _n_multipliers(unit.sweep),
    "coverage": lambda unit: 16 * 3 * min(160, unit.sweep.pairs.n) + 13 * (unit.second.n if unit.second else 0),
    "side effects": lambda unit: 5 * _others(unit),
    "side effects by layer": lambda unit: 4 * unit.sites.model.n_layers * _others(unit),
    "answers": lambda unit: 40 * 32,
    "texts": lambda unit: 24 * _n_multipliers(unit.sweep),
    "edited weights": lambda unit: 6 * 24,
    "frozen norms": lambda unit: 2 * 11 * min(48, unit.sweep.pairs.n),
    "chance": lambda unit: 49 * 6 * min(32, unit.sweep.pairs.n),
    "evidence": lambda unit: 4 * _n_multipliers(unit.sweep) * unit.sweep.pairs.n,
    "panel": lambda unit: 200 * unit.n_directions,
}
"""By kind of unit, texts of a pair that it passes through the model, at one multiplier each."""
BESIDES = {
    "tokens": 0.1,
    "fit": 5.0,
    "frontier": 1.0,
    "pairs steered": 0.3,
    "two options": 0.3,
    "claim": 3.0,
    "evidence": 4.0,
}
"""Seconds of one core that a unit takes whatever the model."""


@dataclass
class Estimate:
    """Seconds of units by kind and model."""

    took: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    """What units of a kind took with a model, of those that are done."""
    passes: dict[str, float] = field(default_factory=dict)
    """Seconds that a pair takes through a model at one multiplier, by its weights."""
    by_key: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, states: Sequence[CellState], store: Store) -> "Estimate":
        """From what is done; a forward's time from sweeps."""
        found = cls()
        rates: dict[str, list[float]] = defaultdict(list)
        units = {unit.key: unit for state in states for unit in state.units or () if unit.key in state.present}
        for unit in units.values():
            seconds = float(store.record(unit.key)["seconds"])
            found.by_key[unit.key] = seconds
            found.took[unit.kind, weights_of(unit)].append(seconds)
            if unit.kind == "sweep":
                rates[weights_of(unit)].append(seconds / PASSES["sweep"](unit))
        found.passes = {weights: float(np.median(some)) for weights, some in rates.items()}
        return found

    def measured(self, states: Sequence[CellState], models: Models) -> "Estimate":
        """With a few forwards measured of each model that has done nothing yet; it is opened for that."""
        for state in states:
            learn = next((unit for unit in state.missing if isinstance(unit, Learn)), None)
            if learn is not None and learn.model.weights not in self.passes:
                model = models.open(state.cell.settings.opened_as)
                self.passes[learn.model.weights] = _seconds_of_a_pass(model, state.cell, learn)
        return self

    def seconds(self, units: Iterable[Unit]) -> float:
        """Of all of them, one after the other."""
        return sum(self._of(unit) for unit in units)

    def unknown(self, states: Sequence[CellState]) -> float:
        """Of cells whose units are not known: as long as one of those that are takes, from its beginning."""
        known = [state for state in states if state.units]
        n = sum(state.units is None and state.state == MISSING for state in states)
        return n * float(np.mean([self.seconds(state.units or ()) for state in known])) if known else 0.0

    def _of(self, unit: Unit) -> float:
        weights = weights_of(unit)
        if like := self.took.get((unit.kind, weights)):
            return float(np.mean(like))
        passes = PASSES[unit.kind](unit) if unit.kind in PASSES else 0.0
        return passes * self.passes.get(weights, 0.0) + BESIDES.get(unit.kind, 0.0)


def weights_of(unit: Any) -> str:
    """The model that a unit is about, by its weights; of a unit that says none, that of one that it names."""
    for value in vars(unit).values():
        if isinstance(value, ModelReference):
            return value.weights
    named = (*unit.inputs, *(value for value in vars(unit).values() if isinstance(value, Unit)))
    return next((found for other in named if (found := weights_of(other))), "")


def _seconds_of_a_pass(model: Any, cell: Cell, learn: Learn) -> float:
    """Of forwards of the cell's own pairs under a DiffMean vector at its site."""
    import mechsteer as ms

    pairs = checked_pairs(cell.settings).learning
    some = pairs.sample(min(N_MEASURED, len(pairs)))
    vector = ms.diff_mean(model, some, parse_sites(learn.sites)[0], prompt_format=learn.training.prompt_format)
    least = np.inf
    # The best of three: the first one warms up.
    for _ in range(3):
        began = time.perf_counter()
        ms.run_sweep(model, vector, some, MEASURED_AT, progress=False)
        least = min(least, time.perf_counter() - began)
    return least / (len(some) * len(MEASURED_AT))
