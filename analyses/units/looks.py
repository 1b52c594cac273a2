"""What is seen of a steer besides its sweep: texts, a second utility, side effects, single pairs, exact answers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mechsteer.errors import InputError
from mechsteer.measuring.frontier import frontier
from mechsteer.measuring.sweeps import Sweep
from mechsteer.models.identity import ModelReference
from mechsteer.models.sites import parse_sites, write_sites
from mechsteer.store.keys import Key
from mechsteer.store.units import Bench

from .steers import ChooseSite, PairSet
from .sweeps import Measure, TablesUnit

TOLD = (0.1, 0.5, 1.0)
"""Nats of utility lost, at which it is told what a steer does besides."""
N_ANSWERS = 64
"""Queries that are answered at each multiplier, for the exact checker."""


@dataclass(frozen=True)
class OfSteer(TablesUnit):
    """Tables about the steer of a sweep."""

    sweep: Measure

    @property
    def result(self) -> Key:
        """What they are about."""
        return self.sweep.result


@dataclass(frozen=True)
class Write(OfSteer):
    """What the model writes at every multiplier."""

    concept: str
    """On a guestbook, of its pairs: what an exact checker can look for."""

    kind = "texts"

    @property
    def words(self) -> str:
        return f"texts under {self.sweep.steer.steer.steer}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.texts import write_texts

        sweep, steer = at.get(self.sweep), self.sweep.steer
        written = write_texts(
            at.model(steer.model), at.get(steer), at.get(self.sweep.pairs), sweep.multipliers,
            prompt_format=steer.prompt_format, concept=self.concept,
        )  # fmt: skip
        return {"texts": written}


@dataclass(frozen=True)
class SecondUtility(OfSteer):
    """What a steer does to a utility that does not come from the pairs, at every multiplier of its sweep."""

    concept: str
    """On a guestbook, of its pairs."""
    seed: int

    kind = "second utility"
    version = 2

    @property
    def words(self) -> str:
        return f"second utility under {self.sweep.steer.steer.steer}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.second_utility import under

        sweep, steer = at.get(self.sweep), self.sweep.steer
        queries = [pair.query or pair.positive for pair in at.get(self.sweep.pairs)]
        found = under(
            at.model(steer.model), at.get(steer), sweep.multipliers, queries, concept=self.concept, seed=self.seed
        )
        return {"second_utility": found.assign(utility_lost=sweep.lost.mean(axis=1))}


@dataclass(frozen=True)
class SideEffects(OfSteer):
    """What a steer does to other pairs where it costs a tenth of a nat, half a nat and one nat of utility, and at m = 1, the
    protocol of arXiv 2602.02343; both ways."""

    others: tuple[PairSet, ...]

    kind = "side effects"
    version = 2

    @property
    def words(self) -> str:
        return f"side effects of {self.sweep.steer.steer.steer}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.side_effects import on_other_pairs

        sweep, steer = at.get(self.sweep), self.sweep.steer
        pairs = [at.get(item) for item in (self.sweep.pairs, *self.others)]
        found = on_other_pairs(
            at.model(steer.model), at.get(steer), pairs, where_told(sweep),
            prompt_format=steer.prompt_format,
        )  # fmt: skip
        return {"side_effects": found}


@dataclass(frozen=True)
class Forecast(TablesUnit):
    """What activations at a site say of pairs, before anything is steered there."""

    model: ModelReference
    learning: PairSet
    testing: PairSet
    site: str
    prompt_format: str

    kind = "forecast"
    version = 2

    @property
    def words(self) -> str:
        return f"what pairs agree on at {self.site}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.forecast import forecast

        pairs = (at.get(self.learning), at.get(self.testing))
        (site,) = parse_sites(self.site)
        return {"forecast": forecast(at.model(self.model), *pairs, site, prompt_format=self.prompt_format)}


@dataclass(frozen=True)
class SteerPairs(OfSteer):
    """What a steer does to single pairs in its useful range, beside what was predicted of them at its site, the first if it has
    several."""

    forecast: Forecast
    seed: int

    kind = "pairs steered"

    @classmethod
    def of(cls, sweep: Measure, learning: PairSet, seed: int) -> "SteerPairs":
        steer = sweep.steer
        site = write_sites(parse_sites(steer.sites)[:1])
        return cls(sweep, Forecast(steer.model, learning, sweep.pairs, site, steer.prompt_format), seed)

    @property
    def words(self) -> str:
        return f"single pairs under {self.sweep.steer.steer.steer}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.forecast import steered, summarise

        before = at.get(self.forecast)
        if before.because:
            raise InputError(before.because)
        pairs = steered(before.tables["forecast"], at.get(self.sweep))
        pairs = pairs.assign(forecast_at=self.forecast.site)
        return {"pairs_steered": pairs, "steerability": summarise(pairs, self.seed)}


@dataclass(frozen=True)
class LayerEffects(TablesUnit):
    """What DiffMean at each layer of a place does to other pairs where it costs the useful range's half a nat."""

    sites: ChooseSite
    place: str
    others: tuple[PairSet, ...]

    kind = "side effects by layer"

    @property
    def words(self) -> str:
        return f"side effects by layer at {self.place}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.side_effects import by_layer

        sites = self.sites
        found = by_layer(
            at.model(sites.model), at.get(sites.pairs), at.get(sites), self.place, [at.get(item) for item in self.others],
            prompt_format=sites.prompt_format, seed=sites.seed,
        )  # fmt: skip
        return {"side_effects_by_layer": found}


@dataclass(frozen=True)
class Answer(OfSteer):
    """The same by the guestbook's exact checker, on answers that the steered model gives."""

    concept: str
    """Of the pairs, which tells which guestbook it is."""
    seed: int

    kind = "answers"
    version = 3

    @property
    def words(self) -> str:
        return f"answers under {self.sweep.steer.steer.steer}"

    def tables(self, at: Bench) -> dict[str, pd.DataFrame]:
        from ..evidence.side_effects import on_the_guestbook

        sweep, steer = at.get(self.sweep), self.sweep.steer
        queries = [pair.query for pair in at.get(self.sweep.pairs)[:N_ANSWERS]]
        found = on_the_guestbook(
            at.model(steer.model), at.get(steer), queries, where_told(sweep), self.concept, seed=self.seed
        )
        return {"answers": found}


def where_told(sweep: Sweep) -> list[float]:
    """The multipliers on both sides at which the budgets of the useful range, and one nat, are spent; and m = ±1, if swept."""
    item = frontier([sweep], n_resamples=1)
    chosen = item.multiplier[:, [item.budgets.index(budget) for budget in TOLD]].ravel()
    ones = [m for m in (-1.0, 1.0) if sweep.multipliers[0] <= m <= sweep.multipliers[-1]]
    return np.union1d(chosen, ones).tolist()
