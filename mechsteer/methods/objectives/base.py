"""What every objective is: the losses of a batch of pairs, turned into one number."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from ...brief import brief
from ...families import OBJECTIVES
from ...interventions.rules.base import Rule


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
    batch_means: bool = False
    """Whether the losses per token are one for the batch, its sum over its tokens, instead of one for each pair."""

    __repr__ = brief

    @property
    def win_per_token(self) -> Float[Tensor, " means"]:
        return self._per_token(self.win, self.win_tokens)

    @property
    def lose_per_token(self) -> Float[Tensor, " means"]:
        return self._per_token(self.lose, self.lose_tokens)

    def _per_token(self, losses: Float[Tensor, " pairs"], tokens: Int[Tensor, " pairs"]) -> Float[Tensor, " means"]:
        return (losses.sum() / tokens.sum())[None] if self.batch_means else losses / tokens


@dataclass(frozen=True)
class Objective(ABC):
    """A small value; a new objective is a new file with one class that has a `__call__`, and nothing else changes."""

    name: ClassVar[str]

    def learning_rule(self, rule: Rule, form: str) -> Rule:
        """The rule by which it teaches a steer of this form that will act by `rule`: as a rule the same."""
        return rule

    @staticmethod
    def of(objective: "Objective | type[Objective] | str", weights: Mapping[str, float] | None = None) -> "Objective":
        """An objective, or one of its class, which a name such as "SPLIT" finds, by these weights or its defaults."""
        found = OBJECTIVES.load(objective) if isinstance(objective, str) else objective
        return found(**(weights or {})) if isinstance(found, type) else found

    @abstractmethod
    def __call__(self, losses: BatchLosses) -> Float[Tensor, ""]:
        """What to minimise, a mean over the pairs."""
