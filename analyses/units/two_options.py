"""Two-option pairs under a steer: the concept apart from the answer that stands for it."""

from dataclasses import dataclass

import pandas as pd

from mechsteer.store.units import Bench

from .looks import OfSteer


@dataclass(frozen=True)
class TwoOptions(OfSteer):
    """What a steer does for the concept and what for an answer, at every multiplier of its sweep."""

    seed: int

    kind = "two options"
    version = 2

    @property
    def words(self) -> str:
        return f"concept and answer under {self.sweep.steer.steer.steer}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.two_options import told_apart

        keys = [pair.key for pair in at.get(self.sweep.pairs)]
        return {"two_options": told_apart(at.get(self.sweep), keys, self.seed)}
