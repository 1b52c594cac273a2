"""How a steer is trained: one value that Python, the command line and a study share. Needs no PyTorch."""

from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import InputError
from ..families import RECIPES
from ..models.prompt_format import PromptFormat
from ..models.sites import POSITIONS
from .recipes.base import DIRECTIONS, STEPS, Recipe, check, switches

ABOUT_RECIPES = (
    f"How training goes where nothing else is asked for: {', '.join(RECIPES.members())}; public:axbench-qwen names one of the "
    "paper's experiments."
)


def option(default: Any, help: str, metavar: str = "", least: float | None = None, flag: str | None = None) -> Any:
    """A setting with what the command line says of it, and what it calls it there if not by its name."""
    told = {"help": help, "metavar": metavar, "min": least} | ({} if flag is None else {"flag": flag})
    return field(default=default, metadata=told)


@dataclass(frozen=True)
class TrainSettings:
    """The settings of `train`, whatever the objective; `objective` and pairs are no settings.

    What is None is as `recipe` says for the objective and the form: `settled` gives it. With `relative`, `learning_rate` is the
    share of the activations' size at the site (root mean square) by which one step can move each entry of the delta, so that
    one value serves models of any size; without, it is AdamW's own.

        ms.TrainSettings(recipe="public")                  # as the paper's public code trains
        ms.TrainSettings(recipe="public", epochs=2)        # but for two epochs
        ms.TrainSettings(batch_means=True)                 # ours but for one switch
    """

    recipe: str = option(
        "ours",
        ABOUT_RECIPES,
        "RECIPE",
    )
    steps: int | None = option(None, f"Training steps; ours {STEPS}.", "N", 1)
    epochs: int | None = option(None, "Passes over the pairs, instead of steps.", "N", 1)
    batch_size: int | None = option(None, f"Pairs drawn at a time; ours {Recipe.batch_size}.", "N", 1)
    accumulate: int | None = option(None, "Draws that make a step; ours 1.", "N", 1)
    learning_rate: float | None = option(
        None,
        f"Share of the activations' size that a step may move each entry of the delta; ours {Recipe.learning_rate}.",
        "SHARE",
    )
    relative: bool | None = option(None, "Whether the learning rate is such a share, as in ours, or AdamW's own.")
    multipliers: tuple[float, ...] | None = option(
        None, "Sizes of m to draw from; signs are drawn independently.", "M,..."
    )
    dropout: float | None = option(
        None, "Share of the delta's entries that are left out while learning; ours 0.", "SHARE", 0
    )
    directions: str | None = option(
        None,
        "'half' of a batch at +m and half at -m, as in ours; every pair at 'both'; or 'add', +m alone.",
        "|".join(DIRECTIONS),
    )
    independent_multipliers: bool | None = option(
        None, "Whether the loser's size of m is drawn independently from the winner's."
    )
    batch_means: bool | None = option(
        None, "Whether losses per token are means over a batch, SPLIT's hinge taken of them, or each pair's own."
    )
    prompt_lengths: bool | None = option(
        None, "Whether a loss is divided by the whole text's tokens, or the completion's."
    )
    wide_start: bool | None = option(None, "Whether a LoRA's A starts within 1/√rank, a vector within 1/√width.")
    bypass: bool | None = option(None, "Whether what is asked for at mlp.out acts at mlp.bypass.")
    patience: int | None = option(
        None, "With --validation: stop after so many measurements without a better one.", "N", 1
    )
    evaluate_every: int = option(25, "Steps between two measurements on the validation pairs.", "N", 1)
    gradient_checkpointing: bool = option(False, "Compute more and keep less, for large models.")
    positions: str = option(
        "all", "Tokens to steer: 'all' but the first (BOS), 'completion', 'query' or 'every'.", "POSITIONS"
    )
    prompt_format: str = option(
        "raw", "'raw' adds nothing to a query; 'chat' uses the tokenizer's chat template.", "FORMAT", flag="--format"
    )
    seed: int = option(0, "The same seed gives the same numbers.", "N")

    def __post_init__(self):
        if self.multipliers is not None:
            object.__setattr__(self, "multipliers", tuple(self.multipliers))
        check(self.recipe)
        Recipe(**self._asked)
        if self.evaluate_every < 1:
            raise InputError("`evaluate_every` must be at least one.")
        object.__setattr__(self, "prompt_format", str(PromptFormat.parse(self.prompt_format)))
        if self.positions not in POSITIONS:
            raise InputError(f"The `positions` {self.positions!r} are unknown. Choose {', '.join(POSITIONS)}.")

    def settled(self, method: str, form: str) -> Recipe:
        """The recipe for a method (an objective's name) and a form; what was asked for comes before what it says."""
        said, asked = switches(self.recipe, method, form), self._asked
        if asked.keys() & {"steps", "epochs"}:
            said = {name: value for name, value in said.items() if name not in ("steps", "epochs")}
        return Recipe(**said | asked)

    @property
    def _asked(self) -> dict[str, Any]:
        """What stands before the recipe."""
        values = {item.name: getattr(self, item.name, None) for item in fields(Recipe)}
        return {name: value for name, value in values.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}
