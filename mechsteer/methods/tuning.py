"""Equal tuning: every method tries as many settings, drawn log-uniformly around those of its recipe, and keeps the best.

What may be drawn is declared by the objective's file: `TUNED` names a weight of its own and the factor by which it may be larger
or smaller. Learning rate and sizes of m are drawn for all. Trial 0 is the recipe itself. Needs no PyTorch but to apply.
"""

import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np

from ..families import OBJECTIVES
from .settings import TrainSettings

if TYPE_CHECKING:
    from .objectives.base import Objective

COMMON = {"learning_rate": 4.0, "multipliers": 2.0}
"""Of every method: at most so many times as large, or as small."""
SEED = 10_000
"""Added to the seed of a training that is only tried, so that what is reported is learned from others."""


def draw_factors(method: str, trial: int, seed: int) -> dict[str, float]:
    """By what each setting is multiplied in this trial; trial 0 leaves all as they are."""
    ranges = COMMON | OBJECTIVES[method].get("TUNED", {})
    if trial == 0:
        return dict.fromkeys(ranges, 1.0)
    rng = np.random.default_rng([seed, 5, trial])
    return {name: float(np.exp(rng.uniform(-math.log(most), math.log(most)))) for name, most in ranges.items()}


def with_factors(
    training: TrainSettings, method: str, form: str, factors: dict[str, float]
) -> "tuple[TrainSettings, Objective]":
    """The settings and the objective, each of their values times its factor."""
    from .objectives.base import Objective

    recipe = training.settled(method, form)
    objective = Objective.of(method, recipe.weights)
    own = {item.name: getattr(objective, item.name) for item in fields(objective)}
    tuned = replace(
        training,
        learning_rate=recipe.learning_rate * factors["learning_rate"],
        multipliers=tuple(m * factors["multipliers"] for m in recipe.multipliers),
    )
    return tuned, replace(objective, **{name: own[name] * factors[name] for name in own if name in factors})
