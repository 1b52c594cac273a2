"""Turns the value towards the delta, in the plane of both, and keeps its norm (as in arXiv 2510.26243 and 2602.08169)."""

from dataclasses import dataclass
from math import pi
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from .base import Moment, Rule, dot

NAME = "rotate"
ORDER = 30
VERSION = 2
"""Raised when what is learned by it comes out otherwise."""
STRENGTH = "the angle by which the value is turned towards Δh, in radians"


@final
@dataclass(frozen=True)
class Rotate(Rule):
    """‖x‖ (cos m x̂ + sin m ê), where x is the value and ê the direction across x, in the plane of x and Δh, on Δh's side.

    How long Δh is does not matter. Where it is zero, or lies along x, there is no such plane and nothing turns.
    """

    name = NAME
    needs_direction = True
    largest = pi

    def shift(self, moment: Moment) -> Float[Tensor, "rows pos d_out"]:
        # Not in float16, which has neither small squares nor large ones.
        wide = torch.promote_types(moment.delta.dtype, torch.float32)
        delta, value = moment.delta.to(wide), moment.value.to(wide)
        along = dot(value, delta) / dot(value, value).clamp(min=1e-30) * value
        across = delta - along
        size, norm = torch.linalg.vector_norm(across, dim=-1, keepdim=True), torch.linalg.vector_norm
        # What rounding leaves of a delta along x has no direction.
        has_plane = size > 8 * torch.finfo(moment.delta.dtype).eps * norm(delta, dim=-1, keepdim=True)
        unit = across / torch.where(has_plane, size, 1.0)
        # cos m - 1, without the loss of digits near m = 0.
        turned = (
            -2 * torch.sin(moment.m / 2) ** 2 * value + torch.sin(moment.m) * norm(value, dim=-1, keepdim=True) * unit
        )
        return torch.where(has_plane, turned, 0.0).to(moment.delta.dtype)
