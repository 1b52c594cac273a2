"""The panel of directions of equal length at the site of a study."""

from dataclasses import dataclass

import pandas as pd

from mechsteer.models.sites import Site
from mechsteer.store.keys import Key, labelled
from mechsteer.store.units import Bench

from .steers import PairSet
from .sweeps import Measure, TablesUnit


@dataclass(frozen=True)
class Panel(TablesUnit):
    """What many directions do at the place where a steer's shift arrives; of the place, not of the steer."""

    sweep: Measure
    """Of a steer at the site, whose model, test pairs and prompt format these are."""
    learning: PairSet
    others: tuple[PairSet, ...]
    n_directions: int
    concept: str
    """On a guestbook, of its pairs: what an exact checker can look for."""
    seed: int

    kind = "panel"
    version = 3

    @property
    def words(self) -> str:
        return "the panel of directions"

    @property
    def result(self) -> Key:
        """What it is of, whatever steers there."""
        return self.sweep.result.without("method", "form", "rule", "seed", "settings")

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.panel import measure

        steer = self.sweep.steer
        found = measure(
            at.model(steer.model), Site.of(steer.sites), at.get(self.learning), at.get(self.sweep.pairs),
            [at.get(other) for other in self.others], prompt_format=steer.prompt_format, concept=self.concept,
            n_directions=self.n_directions, seed=self.seed, parts=at.parts(self),
        )  # fmt: skip
        return {"panel": labelled(found, self.result)}
