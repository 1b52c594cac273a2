"""Utility and preference apart (arXiv 2602.02343, eqs. 18-20)."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from .base import BatchLosses, Objective

NAME = "SPLIT"
ORDER = 50
TUNED = {"preference_weight": 4.0, "margin": 6.0, "negative_weight": 3.0}
STYLE = {"colour": "#6A3D9A", "marker": "o", "line": "-"}


@final
@dataclass(frozen=True)
class SPLIT(Objective):
    """Utility and preference apart (arXiv 2602.02343, eqs. 18-20): λ_p L_p + λ_n L_n + γ relu(θ - (L_n - L_p)).

    L are losses per token, p the winner, n the loser. The hinge is taken pair by pair, as the paper writes it, or, with
    `batch_means`, of the means of a batch, as its public code takes it.
    """

    positive_weight: float = 1.0
    negative_weight: float = 0.5
    preference_weight: float = 5.0
    margin: float = 0.5

    name = NAME

    def __call__(self, losses: BatchLosses) -> Float[Tensor, ""]:
        win, lose = losses.win_per_token, losses.lose_per_token
        utility = self.positive_weight * win + self.negative_weight * lose
        preference = torch.relu(self.margin - (lose - win))
        return (utility + self.preference_weight * preference).mean()
