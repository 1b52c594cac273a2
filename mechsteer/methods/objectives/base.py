"""What every objective is: the losses of a batch of pairs, turned into one number."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from ...brief import brief
from ...errors import InputError
from ...families import FORMS, OBJECTIVES
from ...interventions.rules.base import Rule
from ..settings import TrainSettings


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

    __repr__ = brief

    @property
    def win_per_token(self) -> Float[Tensor, " pairs"]:
        return self.win / self.win_tokens

    @property
    def lose_per_token(self) -> Float[Tensor, " pairs"]:
        return self.lose / self.lose_tokens


@dataclass(frozen=True)
class Recipe:
    """An objective with the settings that go with it: `train(model, start, pairs, recipe.objective, recipe.settings)`."""

    objective: "Objective"
    settings: TrainSettings


@dataclass(frozen=True)
class Objective(ABC):
    """A small value; a new objective is a new file with one class that has a `__call__`, and nothing else changes."""

    name: ClassVar[str]

    def learning_rule(self, rule: Rule, form: str) -> Rule:
        """The rule by which it teaches a steer of this form that will act by `rule`: as a rule the same."""
        return rule

    @staticmethod
    def of(objective: "Objective | type[Objective] | str") -> "Objective":
        """An objective, or one by the defaults of its class, which a name such as "SPLIT" finds."""
        found = OBJECTIVES.load(objective) if isinstance(objective, str) else objective
        return found() if isinstance(found, type) else found

    @abstractmethod
    def __call__(self, losses: BatchLosses) -> Float[Tensor, ""]:
        """What to minimise, a mean over the pairs."""

    @classmethod
    def reference(cls, form: str) -> Recipe:
        """The settings of the paper's public code (arXiv 2602.02343), for a model of Gemma-2-9B-IT's size."""
        settings = FORMS[form].get("REFERENCE")
        if settings is None:
            raise InputError(f"The paper's public code has no settings for the form {form!r}. Leave out --reference.")
        return Recipe(cls(), TrainSettings(relative=False, **settings))
