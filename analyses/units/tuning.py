"""Tuning: each method tries as many settings on pairs that are not reported, with a seed that is not, and the best is kept."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mechsteer.errors import InputError
from mechsteer.methods.tuning import SEED, draw_factors, with_factors
from mechsteer.models.sites import parse_sites
from mechsteer.store.atomic import write_json
from mechsteer.store.units import Bench, Unit

from .steers import Learn

N_MULTIPLIERS = 21
MOST_PAIRS, MOST_LOOKED_AT = 32, 8
"""Validation pairs on which a trial is swept, and learning pairs by which its multipliers are laid out."""


@dataclass(frozen=True)
class Trial(Unit[dict[str, Any]]):
    """One setting, tried: what it gains in the useful range on the validation pairs (nats), by which the best is chosen."""

    steer: Learn
    """As it would be learned untuned."""
    number: int
    seed: int

    kind = "trial"
    version = 2

    @property
    def inputs(self) -> Iterator[Unit]:
        """Those of the steer, which itself is only named: nothing is learned untuned."""
        return self.steer.inputs

    @property
    def words(self) -> str:
        return f"trial {self.number} of {self.steer.method} as a {self.steer.form.replace('_', ' ')}"

    def compute(self, at: Bench) -> dict[str, Any]:
        import mechsteer as ms
        from mechsteer.methods.learning import learn

        steer, model = self.steer, at.model(self.steer.model)
        pairs, validation = at.get(steer.pairs).split(0.8, seed=steer.split_seed)
        factors = draw_factors(steer.method, self.number, self.seed)
        training, objective = with_factors(steer.training, steer.method, steer.form, factors)
        training = replace(training, seed=training.seed + SEED)
        try:
            learned = learn(
                model, pairs, parse_sites(steer.sites), steer.method, steer.form, training, rule=steer.rule,
                objective=objective, validation=validation, progress=False,
            ).intervention  # fmt: skip
            some = validation.sample(min(MOST_PAIRS, len(validation)), seed=self.seed)
            grid = ms.find_multipliers(model, learned, pairs, n=N_MULTIPLIERS, max_pairs=MOST_LOOKED_AT)
            sweep = ms.run_sweep(model, learned, some, grid, progress=False)
            gained, because = ms.frontier([sweep], n_resamples=1).area, ""
        except InputError as error:
            # A setting with which nothing is learned is no choice, and takes no other with it.
            gained, because = None, str(error)
        return {"gained": gained, "because": because, "factors": factors}

    def save(self, value: dict[str, Any], folder: Path) -> None:
        write_json(value, folder / "trial.json")

    def load(self, folder: Path) -> dict[str, Any]:
        return json.loads((folder / "trial.json").read_text(encoding="utf-8"))


def best_factors(tried: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Of the setting that gained most."""
    learned = [trial for trial in tried if trial["gained"] is not None]
    if not learned:
        raise InputError(f"None of {len(tried)} settings taught anything: {tried[0]['because']}")
    return max(learned, key=lambda trial: trial["gained"])["factors"]


def tuning_table(trials: Sequence[Trial], at: Bench) -> pd.DataFrame | None:
    """A row for each setting of each method and form: what it gained, the best of so many, and its factors."""
    rows, best = [], {}
    for trial in trials:
        tried, steer = at.get(trial), trial.steer
        gained = float("nan") if tried["gained"] is None else tried["gained"]
        best[steer.method, steer.form] = float(np.fmax(best.get((steer.method, steer.form), float("nan")), gained))
        about = {"method": steer.method, "form": steer.form, "trial": trial.number, "gained": gained}
        rows.append(about | {"best_of_so_many": best[steer.method, steer.form]} | tried["factors"])
    return pd.DataFrame(rows) if rows else None
