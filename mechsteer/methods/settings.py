"""How a steer is trained: one value that Python, the command line and a study share. Needs no PyTorch."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import InputError
from ..models.prompt_format import PromptFormat
from ..models.sites import POSITIONS

STEPS = 150


def option(default: Any, help: str, metavar: str = "", least: float | None = None, flag: str | None = None) -> Any:
    """A setting with what the command line says of it, and what it calls it there if not by its name."""
    told = {"help": help, "metavar": metavar, "min": least} | ({} if flag is None else {"flag": flag})
    return field(default=default, metadata=told)


@dataclass(frozen=True)
class TrainSettings:
    """The settings of `train`, whatever the objective; `objective` and pairs are no settings.

    With `relative`, `learning_rate` is the share of the activations' size at the site (root mean square) by which one step can
    move each entry of the delta, so that one value serves models of any size; without, it is AdamW's own.
    """

    steps: int | None = option(None, f"Training steps, by default {STEPS}.", "N", 1)
    epochs: int | None = option(None, "Passes over the pairs, instead of steps.", "N", 1)
    batch_size: int = option(8, "Pairs drawn at a time.", "N", 1)
    accumulate: int = option(1, "Draws that make a step.", "N", 1)
    learning_rate: float = option(
        0.03, "Share of the activations' size that a step may move each entry of the delta.", "SHARE"
    )
    relative: bool = option(True, "Whether the learning rate is such a share, or AdamW's own.")
    multipliers: tuple[float, ...] = option(
        (0.25, 0.5, 0.75, 1.0, 1.25, 1.5), "Sizes of m to draw from; signs are drawn apart.", "M,..."
    )
    dropout: float = option(0.0, "Share of the delta's entries that are left out while learning.", "SHARE", 0)
    patience: int | None = option(
        None, "With --validation: stop after so many measurements without a better one.", "N", 1
    )
    evaluate_every: int = option(25, "Steps between two measurements on the validation pairs.", "N", 1)
    gradient_checkpointing: bool = option(False, "Compute more and keep less, for large models.")
    positions: str = option("all", "Tokens to steer: 'all' but the first (BOS), 'completion' or 'query'.", "POSITIONS")
    prompt_format: str = option(
        "raw", "'raw' adds nothing to a query; 'chat' uses the tokenizer's chat template.", "FORMAT", flag="--format"
    )
    seed: int = option(0, "The same seed gives the same numbers.", "N")

    def __post_init__(self):
        object.__setattr__(self, "multipliers", tuple(self.multipliers))
        if self.steps is not None and self.epochs is not None:
            raise InputError("Both `steps` and `epochs` came. Pass one of them.")
        if (self.steps is not None and self.steps < 1) or (self.epochs is not None and self.epochs < 1):
            raise InputError("Training needs at least one step. Raise `steps` or `epochs`.")
        if min(self.batch_size, self.accumulate, self.evaluate_every) < 1:
            raise InputError("`batch_size`, `accumulate` and `evaluate_every` must be at least one.")
        if not self.multipliers or not all(math.isfinite(m) and m > 0 for m in self.multipliers):
            raise InputError(f"The `multipliers` {self.multipliers} must be positive sizes; signs are drawn apart.")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"The learning rate is {self.learning_rate}. Pass a positive one, such as 0.03.")
        if not 0 <= self.dropout < 1:
            raise InputError(f"The dropout is {self.dropout}. Pass a share from 0 up to, not including, 1.")
        object.__setattr__(self, "prompt_format", str(PromptFormat.parse(self.prompt_format)))
        if self.positions not in POSITIONS:
            raise InputError(f"The `positions` {self.positions!r} are unknown. Choose {', '.join(POSITIONS)}.")

    def n_steps(self, n_pairs: int) -> int:
        """How many steps it makes with so many pairs."""
        if self.epochs is not None:
            return self.epochs * math.ceil(n_pairs / (self.batch_size * self.accumulate))
        return self.steps or STEPS

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}
