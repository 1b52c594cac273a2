"""Takes the delta's direction out of the value, where it points that way (RePS, arXiv 2505.20809)."""

from dataclasses import dataclass
from typing import final

import torch
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
        # Not in float16, which has neither small squares nor large ones.
        wide = torch.promote_types(moment.delta.dtype, torch.float32)
        delta = moment.delta.to(wide)
        along = dot(moment.value.to(wide), delta).relu()
        return (-moment.m * along / dot(delta, delta).clamp(min=1e-20) * delta).to(moment.delta.dtype)
