"""Reference-free preference steering (arXiv 2505.20809)."""

from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from ...interventions.rules.base import Moment, Rule
from ...interventions.rules.project_out import ProjectOut
from .base import BatchLosses, Objective

NAME = "RePS"
ORDER = 40
VERSION = 2
"""Raised when what is learned by it comes out otherwise."""
TUNED = {"least_weight": 4.0}
STYLE = {"colour": "#56B4E9", "marker": "D", "line": "--"}


@final
@dataclass(frozen=True)
class RePS(Objective):
    """Reference-free preference steering (arXiv 2505.20809): -log σ((β/|A_w|) log P(A_w) - (1/|A_l|) log P(A_l)).

    β = max(log P₀(A_l) - log P₀(A_w), least_weight), where P₀ is the unsteered model: the less likely the winner was, the
    more it counts.
    """

    least_weight: float = 1.0

    name = NAME

    def learning_rule(self, rule: Rule, form: str) -> Rule:
        """Where the negative completion should win, a vector's direction is taken out, whatever the size of m.

        Of a LoRA or a local weight -m·Δh is added, as in the paper's equations and in the public code of arXiv 2602.02343.
        """
        return OutBelowZero(rule) if form == "vector" else rule

    def __call__(self, losses: BatchLosses) -> Float[Tensor, ""]:
        weight = (losses.base_win - losses.base_lose).clamp(min=self.least_weight)
        margin = losses.lose_per_token - weight * losses.win_per_token
        return -torch.nn.functional.logsigmoid(margin).mean()


@final
@dataclass(frozen=True)
class OutBelowZero(Rule):
    """Another rule where m > 0; where m < 0, all along the delta is taken out."""

    above: Rule

    name = "out below zero"
    needs_direction = True

    @property
    def is_per_token(self) -> bool:
        return self.above.is_per_token

    def begin(self) -> "OutBelowZero":
        return replace(self, above=self.above.begin())

    def shift(self, moment: Moment) -> Float[Tensor, "rows pos d_out"]:
        out = ProjectOut().shift(moment.at(torch.ones_like(moment.multiplier)))
        return torch.where(moment.m < 0, out, self.above.shift(moment))
