"""A random direction, as long as the DiffMean vector and turned to its side: what chance does, on its best side."""

from dataclasses import replace

import torch

from ..interventions import SteeringVector
from ..models.model import Model
from ..models.sites import Site
from ..pairs.polarity import Pairs
from .diff_mean import diff_mean
from .settings import TrainSettings

NAME = "Random"
ORDER = 20
FORMS = ("vector",)
CONTROL = True
STYLE = {"colour": "#000000", "marker": "x", "line": ":"}


def learn(model: Model, pairs: Pairs, site: Site, settings: TrainSettings) -> SteeringVector:
    """Drawn by the seed, evenly from the half of the sphere around the DiffMean vector."""
    vector = diff_mean(model, pairs, site, prompt_format=settings.prompt_format)
    drawn = torch.randn(len(vector.direction), generator=torch.Generator().manual_seed(settings.seed))
    drawn = drawn if drawn @ vector.direction >= 0 else -drawn
    direction = drawn * vector.direction.norm() / drawn.norm()
    return replace(vector, direction=direction, origin=replace(vector.origin, method=NAME))
