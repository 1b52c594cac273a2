"""About how long what is left of a campaign takes: by what like units took, else by forwards that are measured."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mechsteer.models.sites import parse_sites
from mechsteer.progress import progress_bar
from mechsteer.store.store import Store
from mechsteer.store.units import Unit

from ..studies.opening import Models
from ..studies.subjects import checked_pairs
from ..units.costs import Costs
from ..units.steers import Learn
from .plan import Cell
from .survey import DONE, MISSING, CellState

N_MEASURED, MEASURED_AT = 8, tuple(np.linspace(-1, 1, 11).tolist())
"""Pairs and multipliers of the forwards that are measured: as many multipliers as share what lies before the site in a sweep."""


@dataclass
class Estimate:
    """Seconds of units that are done, and of those that are not."""

    costs: Costs = field(default_factory=Costs)
    by_key: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, states: Sequence[CellState], store: Store) -> "Estimate":
        """From what is done."""
        found = cls()
        units = {unit.key: unit for state in states for unit in state.units or () if unit.key in state.present}
        for unit in units.values():
            found.by_key[unit.key] = seconds = float(store.record(unit.key)["seconds"])
            found.costs.add(unit, seconds)
        return found

    def measured(self, states: Sequence[CellState], models: Models) -> "Estimate":
        """With a few forwards measured of each model that has swept nothing yet; it is opened for that."""
        with progress_bar("forwards", None) as bar:
            for state in states:
                learn = next((unit for unit in state.missing if isinstance(unit, Learn)), None)
                if learn is not None and not (known := self.costs.rates[learn.model.weights])["sweep"]:
                    bar.note(f"forwards of {learn.model.name}")
                    model = models.open(state.cell.settings.opened_as)
                    known["sweep"].append(_seconds_of_a_pass(model, state.cell, learn))
                    bar.advance()
        return self

    def seconds(self, state: CellState) -> float | None:
        """Of what is left of a cell, one unit after the other; None where nothing is known yet of its model."""
        if state.state == DONE:
            return 0.0
        return None if state.units is None else self.costs.seconds(state.missing)

    def total(self, states: Sequence[CellState]) -> float | None:
        """Of what is left of all cells, what they share once; None where something is left of which nothing is known.

        A cell of a model of which nothing is known takes as long as the others do, each from its beginning.
        """
        left = {unit.key: unit for state in states if self.seconds(state) is not None for unit in state.missing}
        n_unknown = sum(state.state == MISSING for state in states if self.seconds(state) is None)
        whole = [taken for state in states if state.units and (taken := self.costs.seconds(state.units)) is not None]
        if n_unknown and not whole:
            return None
        return self.known(left.values()) + (n_unknown * float(np.mean(whole)) if n_unknown else 0.0)

    def known(self, units: Iterable[Unit]) -> float:
        """Of those of which something is known."""
        return sum(self.costs.of(unit) or 0.0 for unit in units)


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
