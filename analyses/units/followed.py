"""What the page follows of every steer: how far some tokens are taken from the manifold, and where to on the map."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mechsteer.families import MANIFOLDS
from mechsteer.models.identity import ModelReference
from mechsteer.models.sites import parse_sites
from mechsteer.store.units import Bench, Unit

from .looks import OfSteer
from .steers import PairSet
from .sweeps import Measure

if TYPE_CHECKING:
    from ..evidence.followed import LearningTokens


@dataclass(frozen=True)
class DrawMap(Unit["LearningTokens"]):
    """The tokens that stand for the manifold at a site, and the map of them: one for all steers there."""

    model: ModelReference
    learning: PairSet
    site: str
    prompt_format: str
    seed: int

    kind = "map"

    @property
    def words(self) -> str:
        return f"the map of activations at {self.site}"

    def compute(self, at: Bench) -> "LearningTokens":
        from ..evidence.followed import learning_tokens

        (site,) = parse_sites(self.site)
        return learning_tokens(at.model(self.model), at.get(self.learning), site, self.prompt_format, self.seed)

    def save(self, value: "LearningTokens", folder: Path) -> None:
        value.save(folder)

    def load(self, folder: Path) -> "LearningTokens":
        from ..evidence.followed import LearningTokens

        return LearningTokens.load(folder)


@dataclass(frozen=True)
class Follow(OfSteer):
    """Distance and places under a steer that adds at one site."""

    map: DrawMap
    code: str
    """Of manifolds from outside the tree, whose distances are measured too."""

    kind = "followed tokens"

    @classmethod
    def of(cls, sweep: Measure, learning: PairSet, seed: int) -> "Follow":
        steer = sweep.steer
        foreign = "".join(manifold.content for manifold in MANIFOLDS.members().values())
        return cls(sweep, DrawMap(steer.model, learning, steer.sites, steer.prompt_format, seed), foreign)

    @property
    def words(self) -> str:
        return f"tokens followed under {self.sweep.steer.steer.steer}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.followed import follow

        sweep, steer = at.get(self.sweep), self.sweep.steer
        return follow(
            at.model(steer.model), at.get(steer), at.get(self.map.learning), at.get(self.sweep.pairs), sweep,
            at.get(self.map), seed=self.map.seed,
        )  # fmt: skip
