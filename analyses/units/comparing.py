"""Steers compared with each other, and with asking for the concept in words."""

from dataclasses import dataclass

import pandas as pd

from mechsteer.pairs.asking import Asking
from mechsteer.store.units import Bench

from ..evidence import comparison, prompting
from .sweeps import Measure, TablesUnit


@dataclass(frozen=True)
class Ask(TablesUnit):
    """What a line of text gains and loses on the pairs of a sweep."""

    sweep: Measure
    asking: Asking

    kind = "prompting"

    @property
    def words(self) -> str:
        return "asking in words"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        sweep, steer = at.get(self.sweep), self.sweep.steer
        model, pairs = at.model(steer.model), at.get(self.sweep.pairs)
        return {"asked": prompting.ask(model, at.get(steer), pairs, sweep, self.asking)}


@dataclass(frozen=True)
class Compare(TablesUnit):
    """Methods and forms at an equal loss of utility, and at that of asking in words where the study asks."""

    sweeps: tuple[Measure, ...]
    asked: tuple[Ask, ...]
    """One, or none."""
    seed: int

    kind = "frontier"
    version = 6

    @property
    def words(self) -> str:
        return f"{len(self.sweeps)} steers compared"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        sweeps = [at.get(sweep) for sweep in self.sweeps]
        found = comparison.frontiers(sweeps, self.seed)
        tables = {"frontier": comparison.table(found), "differences": comparison.differences(found)}
        for unit in self.asked:
            if (asked := at.get(unit).tables.get("asked")) is not None:
                tables["prompting"] = prompting.summarise(asked, unit.asking, self.seed)
                tables["against_prompting"] = prompting.against_steers(sweeps, asked, self.seed)
        return tables
