"""Takes the delta's direction out of the value, where it points that way (RePS, arXiv 2505.20809)."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from .base import Moment, Rule, dot

NAME = "project_out"
ORDER = 20
VERSION = 2
"""Raised when what is learned by it comes out otherwise."""
STRENGTH = "the share of the value along Δh that is taken out: 1 is all of it"


@final
@dataclass(frozen=True)
class ProjectOut(Rule):
    """h - m relu(h·d)/‖d‖² d, where d is Δh: at m = 1 nothing of d is left; what points away from d stays."""

    name = NAME
    needs_direction = True
    is_linear = True

    def shift(self, moment: Moment) -> Float[Tensor, "rows pos d_out"]:
        delta = moment.delta
        along = dot(moment.value.to(delta.dtype), delta).relu()
        return -moment.m * along / dot(delta, delta).clamp(min=1e-20) * delta
