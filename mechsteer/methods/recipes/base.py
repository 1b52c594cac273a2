"""What every recipe comes to: named switches that the draw, the losses, the objective and the trainer read. Needs no PyTorch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ...errors import InputError
from ...families import RECIPES
from ...models.sites import Site

STEPS = 100
DIRECTIONS = ("half", "both", "add")


@dataclass(frozen=True)
class Recipe:
    """How a steer of one form is trained by one objective; the defaults are ours.

    `TrainSettings.settled` gives it: what a recipe's file says, and before that what was asked for. The public code is
    that of arXiv 2602.02343 (EasyEdit 14cea82, `steer/trainer`).
    """

    steps: int | None = None
    epochs: int | None = None
    batch_size: int = 8
    accumulate: int = 1
    learning_rate: float = 0.03
    relative: bool = True
    multipliers: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
    dropout: float = 0.0
    """Of the edit's output at each token; a vector, whose output is the same at all, loses elements of its own."""
    directions: str = "half"
    """Of a batch, half at +m and half at -m; or every pair at both; or "add", +m alone."""
    independent_multipliers: bool = False
    """Whether the loser's m is drawn independently from the winner's, with the same sign."""
    batch_means: bool = False
    """Whether losses per token are means over all tokens of a batch, as of Hugging Face's `.loss`, so that SPLIT's hinge is taken
    once for the batch; else pair by pair."""
    prompt_lengths: bool = False
    """Whether the tokens by which a loss is divided are those of the whole text, prompt included."""
    wide_start: bool = False
    """Whether a form starts as in the public code (`Shift.init_wide`)."""
    bypass: bool = False
    """Whether what is asked for at mlp.out acts at mlp.bypass."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of the objective, where they are not its defaults."""

    def __post_init__(self):
        object.__setattr__(self, "multipliers", tuple(self.multipliers))
        if self.steps is not None and self.epochs is not None:
            raise InputError("Both `steps` and `epochs` came. Pass one of them.")
        if (self.steps is not None and self.steps < 1) or (self.epochs is not None and self.epochs < 1):
            raise InputError("Training needs at least one step. Raise `steps` or `epochs`.")
        if min(self.batch_size, self.accumulate) < 1:
            raise InputError("`batch_size` and `accumulate` must be at least one.")
        if not self.multipliers or not all(math.isfinite(m) and m > 0 for m in self.multipliers):
            raise InputError(
                f"The `multipliers` {self.multipliers} must be positive sizes; signs are drawn independently."
            )
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"The learning rate is {self.learning_rate}. Pass a positive one, such as 0.03.")
        if not 0 <= self.dropout < 1:
            raise InputError(f"The dropout is {self.dropout}. Pass a share from 0 up to, not including, 1.")
        if self.directions not in DIRECTIONS:
            raise InputError(f"The `directions` {self.directions!r} are unknown. Choose {', '.join(DIRECTIONS)}.")

    def n_steps(self, n_pairs: int) -> int:
        """How many steps it makes with so many pairs."""
        if self.epochs is not None:
            return self.epochs * math.ceil(n_pairs / (self.batch_size * self.accumulate))
        return self.steps or STEPS

    def placed(self, sites: Sequence[Site]) -> tuple[Site, ...]:
        """Where a steer that is asked for at these sites acts."""
        if not self.bypass:
            return tuple(sites)
        return tuple(replace(site, place="mlp.bypass") if site.place == "mlp.out" else site for site in sites)

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self) | {"multipliers": list(self.multipliers), "weights": dict(self.weights)}


def switches(recipe: str, method: str, form: str) -> dict[str, Any]:
    """What a recipe says of a method and form where it departs from ours; it may name an experiment: "public:axbench-qwen"."""
    name, _, experiment = recipe.partition(":")
    return RECIPES.load(name).switches(method, form, experiment)


def check(recipe: str) -> None:
    """One sentence if there is no such recipe, or it has no such experiment."""
    switches(recipe, "SFT", "vector")
