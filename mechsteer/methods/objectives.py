"""What training minimises: an objective turns the losses of a batch of pairs into one number."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import InputError


@dataclass(frozen=True)
class BatchLosses:
    """Losses (nats, summed) of the completion that should win under the drawn multiplier, and of the other one.

    At a positive multiplier the positive completion wins, at a negative one the negative. `base_*` are the losses of the
    unsteered model, read only where an objective asks for them.
    """

    win: Float[Tensor, " pairs"]
    lose: Float[Tensor, " pairs"]
    win_tokens: Int[Tensor, " pairs"]
    lose_tokens: Int[Tensor, " pairs"]
    base_win: Float[Tensor, " pairs"]
    base_lose: Float[Tensor, " pairs"]

    @property
    def win_per_token(self) -> Float[Tensor, " pairs"]:
        return self.win / self.win_tokens

    @property
    def lose_per_token(self) -> Float[Tensor, " pairs"]:
        return self.lose / self.lose_tokens


@dataclass(frozen=True)
class Recipe:
    """An objective with the settings of `train` that go with it: `train(..., recipe.objective, **recipe.settings)`."""

    objective: "Objective"
    settings: dict[str, Any]


@dataclass(frozen=True)
class Objective:
    """A small value; a new objective is a new class with a `__call__`, and nothing else changes."""

    name: ClassVar[str]
    nulls_out: ClassVar[bool] = False
    """Whether the negative side projects the steer's direction out instead of steering by -m."""

    @abstractmethod
    def __call__(self, losses: BatchLosses) -> Float[Tensor, ""]:
        """What to minimise, a mean over the pairs."""

    @classmethod
    def reference(cls, form: str) -> Recipe:
        """The settings of the paper's public code (arXiv 2602.02343), for a model of Gemma-2-9B-IT's size."""
        return Recipe(cls(), _reference_settings(form))


@dataclass(frozen=True)
class SFT(Objective):
    """The winner's loss per token."""

    name = "SFT"

    def __call__(self, losses: BatchLosses) -> Float[Tensor, ""]:
        return losses.win_per_token.mean()


@dataclass(frozen=True)
class RePS(Objective):
    """Reference-free preference steering (arXiv 2505.20809): -log σ((β/|A_w|) log P(A_w) - (1/|A_l|) log P(A_l)).

    β = max(log P₀(A_l) - log P₀(A_w), least_weight), where P₀ is the unsteered model: the less likely the winner was, the
    more it counts.
    """

    least_weight: float = 1.0

    name = "RePS"
    nulls_out = True

    def __call__(self, losses: BatchLosses) -> Float[Tensor, ""]:
        weight = (losses.base_win - losses.base_lose).clamp(min=self.least_weight)
        margin = losses.lose_per_token - weight * losses.win_per_token
        return -torch.nn.functional.logsigmoid(margin).mean()


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

    name = "SPLIT"

    def __call__(self, losses: BatchLosses) -> Float[Tensor, ""]:
        win, lose = losses.win_per_token, losses.lose_per_token
        utility = self.positive_weight * win + self.negative_weight * lose
        preference = torch.relu(self.margin - (lose - win))
        return (utility + self.preference_weight * preference).mean()

    @classmethod
    def reference(cls, form: str) -> Recipe:
        """The settings of the paper's public code, for a model of Gemma-2-9B-IT's size; ranges by their middle."""
        weights = {"vector": (0.55, 6.0, 0.4), "lora": (0.5, 5.0, 0.45), "local_weight": (0.45, 4.75, 0.5)}
        settings = _reference_settings(form)
        negative_weight, preference_weight, margin = weights[form]
        return Recipe(cls(1.0, negative_weight, preference_weight, margin), settings)


OBJECTIVES: dict[str, type[Objective]] = {objective.name: objective for objective in (SFT, RePS, SPLIT)}


def _reference_settings(form: str) -> dict[str, Any]:
    coarse, fine = tuple(range(2, 21, 2)), tuple(round(0.2 * step, 1) for step in range(1, 11))
    by_form = {
        "vector": dict(learning_rate=0.08, batch_size=4, epochs=2, multipliers=coarse, dropout=0.1),
        "lora": dict(learning_rate=0.01, batch_size=4, accumulate=2, epochs=2, multipliers=fine),
        "local_weight": dict(learning_rate=0.01, batch_size=4, epochs=2, multipliers=fine),
    }
    if form not in by_form:
        raise InputError(f"The form {form!r} is unknown. Choose {', '.join(by_form)}.")
    return by_form[form] | {"relative": False}
