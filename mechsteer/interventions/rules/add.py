"""Adds m·Δh (arXiv 2602.02343, eq. 4)."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from .base import Moment, Rule

NAME = "add"
ORDER = 10
STRENGTH = "how many times Δh"


@final
@dataclass(frozen=True)
class Add(Rule):
    """Adds m·Δh."""

    name = NAME
    is_linear = True

    def shift(self, moment: Moment) -> Float[Tensor, "rows pos d_out"]:
        return moment.m * moment.delta
