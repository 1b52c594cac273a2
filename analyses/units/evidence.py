"""What claims about a steer rest on besides its sweep: activations, edited weights, frozen norms, other completions, chance."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mechsteer.store.keys import labelled
from mechsteer.store.units import Bench, Unit

from ..evidence.evidence import Evidence
from .looks import OfSteer
from .steers import PairSet
from .sweeps import Measure


@dataclass(frozen=True)
class EditWeights(OfSteer):
    """Logits under hooks against those of edited weights."""

    kind = "edited weights"

    @property
    def words(self) -> str:
        return f"weights edited by {self.sweep.steer.steer.steer}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.edited_weights import compare

        sweep, steer = at.get(self.sweep), self.sweep.steer
        return {"one_operation": compare(at.model(steer.model), at.get(steer), at.get(self.sweep.pairs), sweep)}


@dataclass(frozen=True)
class FreezeNorms(OfSteer):
    """What a steer does where norms divide by what they divide by unsteered."""

    kind = "frozen norms"

    @property
    def words(self) -> str:
        return f"norms frozen under {self.sweep.steer.steer.steer}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.frozen_norms import measure

        sweep, steer = at.get(self.sweep), self.sweep.steer
        found = measure(
            at.model(steer.model), at.get(steer), at.get(self.sweep.pairs), sweep,
            prompt_format=steer.prompt_format,
        )  # fmt: skip
        return {"frozen_norms": labelled(found, self.sweep.result)}


@dataclass(frozen=True)
class Cover(OfSteer):
    """What a steer does to other completions than those of the pairs."""

    second: tuple[PairSet, ...]
    """More pairs of the same concept; one set, or none."""
    concept: str
    """On a guestbook, of its pairs: what an exact checker can look for."""
    seed: int

    kind = "coverage"

    @property
    def words(self) -> str:
        return f"other completions under {self.sweep.steer.steer.steer}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.coverage import measure

        sweep, steer = at.get(self.sweep), self.sweep.steer
        second = [at.get(unit) for unit in self.second]
        found = measure(
            at.model(steer.model), at.get(steer), at.get(self.sweep.pairs), sweep, *second, concept=self.concept,
            seed=self.seed,
        )  # fmt: skip
        return {"coverage": labelled(found, self.sweep.result)}


@dataclass(frozen=True)
class Chance(OfSteer):
    """What chance gains at a steer's shifts, beside the steer."""

    learning: PairSet
    seed: int

    kind = "chance"
    version = 2

    @property
    def words(self) -> str:
        return f"chance beside {self.sweep.steer.steer.steer}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.chance import against_chance

        sweep, steer = at.get(self.sweep), self.sweep.steer
        found = against_chance(
            at.model(steer.model), at.get(steer), at.get(self.learning), at.get(self.sweep.pairs), sweep, seed=self.seed,
            parts=at.parts(self),
        )  # fmt: skip
        return {"chance": labelled(found, self.sweep.result)}


@dataclass(frozen=True)
class Collect(Unit[Evidence]):
    """All that the claims about one steer are judged by."""

    sweep: Measure
    learning_sweep: Measure
    """Of some of the pairs that it was learned from, at the same multipliers."""
    learning: PairSet
    concept: str
    """On a guestbook, of its pairs: what an exact checker can look for."""
    seed: int

    kind = "evidence"
    version = 4

    @property
    def words(self) -> str:
        return f"evidence of {self.sweep.steer.steer.steer}"

    def compute(self, at: Bench) -> Evidence:
        from ..evidence.collection import collect

        steer = self.sweep.steer
        return collect(
            at.model(steer.model), at.get(steer), at.get(self.learning), at.get(self.sweep.pairs), at.get(self.sweep),
            at.get(self.learning_sweep), concept=self.concept, seed=self.seed,
        )  # fmt: skip

    def save(self, value: Evidence, folder: Path) -> None:
        value.save(folder / "evidence.npz")

    def load(self, folder: Path) -> Evidence:
        return Evidence.load(folder / "evidence.npz").of(self.sweep.result)
