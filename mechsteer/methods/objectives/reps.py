"""Reference-free preference steering (arXiv 2505.20809)."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from .base import BatchLosses, Objective

NAME = "RePS"
ORDER = 40
STYLE = {"colour": "#009E73", "marker": "D", "line": "--"}


@final
@dataclass(frozen=True)
class RePS(Objective):
    """Reference-free preference steering (arXiv 2505.20809): -log σ((β/|A_w|) log P(A_w) - (1/|A_l|) log P(A_l)).

    β = max(log P₀(A_l) - log P₀(A_w), least_weight), where P₀ is the unsteered model: the less likely the winner was, the
    more it counts.
    """

    least_weight: float = 1.0

    name = NAME
    nulls_out = True

    def __call__(self, losses: BatchLosses) -> Float[Tensor, ""]:
        weight = (losses.base_win - losses.base_lose).clamp(min=self.least_weight)
        margin = losses.lose_per_token - weight * losses.win_per_token
        return -torch.nn.functional.logsigmoid(margin).mean()
