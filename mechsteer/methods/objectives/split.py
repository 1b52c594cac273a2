"""Utility and preference apart (arXiv 2602.02343, eqs. 18-20)."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from .base import BatchLosses, Objective, Recipe

NAME = "SPLIT"
ORDER = 50
STYLE = {"colour": "#D55E00", "marker": "o", "line": "-"}
REFERENCE_WEIGHTS = {"vector": (0.55, 6.0, 0.4), "lora": (0.5, 5.0, 0.45), "local_weight": (0.45, 4.75, 0.5)}
"""Of the paper's public code, by form: λ_n, γ and θ; ranges by their middle."""


@final
@dataclass(frozen=True)
class SPLIT(Objective):
    """Utility and preference apart (arXiv 2602.02343, eqs. 18-20): λ_p L_p + λ_n L_n + γ relu(θ - (L_n - L_p)).

    L are losses per token, p the winner, n the loser. The hinge is taken pair by pair, as the paper writes it; its public
    code takes it of the means of a batch.
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

    @classmethod
    def reference(cls, form: str) -> Recipe:
        """The settings of the paper's public code, for a model of Gemma-2-9B-IT's size."""
        settings = super().reference(form).settings
        negative_weight, preference_weight, margin = REFERENCE_WEIGHTS[form]
        return Recipe(cls(1.0, negative_weight, preference_weight, margin), settings)
