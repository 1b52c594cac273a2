"""The steers that a study compares, and how each is learned: on the same pairs, for as many steps, untuned."""

from dataclasses import dataclass, replace
from itertools import product

import torch

import mechsteer as ms
from mechsteer.interventions import FORMS
from mechsteer.methods import OBJECTIVES

from .settings import VECTORS, Settings


@dataclass(frozen=True)
class Steer:
    """A method, a form, and the seed from which it was trained, if it was."""

    method: str
    form: str
    seed: int | None = None

    @property
    def slug(self) -> str:
        """Its name in files."""
        return "-".join([self.method, self.form, *([] if self.seed is None else [f"seed{self.seed}"])]).lower()

    def name(self, site: ms.Site) -> str:
        """Its name in tables."""
        return f"{self.method} {self.form} {site}" + ("" if self.seed is None else f" seed {self.seed}")


def steers(settings: Settings) -> list[Steer]:
    """DiffMean first, then the random direction that is its control, then every trained method in every form from every seed."""
    seeds = range(settings.seed, settings.seed + settings.seeds)
    trained = [method for method in settings.methods if method not in VECTORS]
    untrained = [
        Steer(method, "vector") for method in VECTORS if method in settings.methods and "vector" in settings.forms
    ]
    return untrained + [Steer(*chosen) for chosen in product(trained, settings.forms, seeds)]


def learn(
    steer: Steer, model: ms.Model, pairs: ms.Pairs, site: ms.Site, settings: Settings, checkpoint
) -> ms.Intervention:
    """Learn one steer. A fifth of the pairs (by group) chooses the step to stop at, the same pairs for every method."""
    if steer.method in VECTORS:
        vector = ms.diff_mean(model, pairs, site, prompt_format=settings.format)
        return vector if steer.method == "DiffMean" else _random_like(vector, settings.seed)
    teaching, validation = pairs.split(0.8, seed=settings.seed)
    assert steer.seed is not None
    start = FORMS[steer.form].init(site, *site.widths(model), generator=torch.Generator().manual_seed(steer.seed))
    return ms.train(
        model,
        start,
        teaching,
        OBJECTIVES[steer.method](),
        steps=settings.steps,
        seed=steer.seed,
        validation=validation,
        prompt_format=settings.format,
        checkpoint=checkpoint,
    ).intervention


def _random_like(vector: ms.SteeringVector, seed: int) -> ms.SteeringVector:
    """A direction drawn evenly from the half of the sphere around the vector, and as long: chance on its best side."""
    drawn = torch.randn(len(vector.direction), generator=torch.Generator().manual_seed(seed))
    drawn = drawn if drawn @ vector.direction >= 0 else -drawn
    direction = drawn * vector.direction.norm() / drawn.norm()
    return replace(vector, direction=direction, origin=replace(vector.origin, method="Random"))
