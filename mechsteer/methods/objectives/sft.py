"""Supervised fine-tuning: the winner's loss per token."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from .base import BatchLosses, Objective

NAME = "SFT"
ORDER = 30
STYLE = {"colour": "#E69F00", "marker": "^", "line": "-."}


@final
@dataclass(frozen=True)
class SFT(Objective):
    """The winner's loss per token."""

    name = NAME

    def __call__(self, losses: BatchLosses) -> Float[Tensor, ""]:
        return losses.win_per_token.mean()
