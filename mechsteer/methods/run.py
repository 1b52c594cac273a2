"""The state of a training run: what it draws, what it keeps, and where an interrupted one goes on."""

import io
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..errors import InputError
from ..store.sums import read_sealed, write_sealed
from .recipes.base import Recipe


@dataclass(frozen=True)
class Draw:
    """The pairs of one forward and their signed multipliers: a function of seed and index alone, so runs can go on."""

    pairs: Int[Tensor, " pairs"]
    multipliers: Float[Tensor, "2 pairs"]
    """Of the winner and of the loser."""
    seed: int

    @classmethod
    def at(cls, seed: int, index: int, n_pairs: int, recipe: Recipe) -> "Draw":
        epoch, batch = divmod(index, math.ceil(n_pairs / recipe.batch_size))
        order = np.random.default_rng([seed, 0, epoch]).permutation(n_pairs)
        pairs = order[batch * recipe.batch_size : (batch + 1) * recipe.batch_size]
        if recipe.directions == "both":
            pairs = np.repeat(pairs, 2)
        random = np.random.default_rng([seed, 1, index])
        sizes = np.asarray(recipe.multipliers, dtype=np.float64)
        winner = loser = random.choice(sizes, len(pairs))
        signs = np.ones(len(pairs))
        if recipe.directions == "both":
            signs[1::2] = -1.0
        elif recipe.directions == "half":
            # Half of the examples each way, in every batch.
            signs = random.permutation(np.where(np.arange(len(pairs)) % 2 == index % 2, 1.0, -1.0))
        noise = int(random.integers(2**31))
        if recipe.independent_multipliers:
            loser = random.choice(sizes, len(pairs))
        return cls(torch.from_numpy(pairs), torch.from_numpy(signs * np.stack([winner, loser])), noise)


@dataclass
class Run:
    """Grows by a step at a time; `save` and `open` keep it in a file, if it has one."""

    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    identity: str
    path: Path | None
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] | None = None

    def resume(self) -> None:
        """Go on from the file, if it is there, whole, and belongs to the same run."""
        if self.path is None or (kept := read_sealed(self.path)) is None:
            return
        state = torch.load(io.BytesIO(kept), map_location="cpu", weights_only=True)
        if state["identity"] != self.identity:
            raise InputError(
                f"The checkpoint {str(self.path)!r} belongs to a run with other settings. Delete it, or name another."
            )
        self.step, self.history, self.best = state["step"], state["history"], state["best"]
        with torch.no_grad():
            for name, value in self.parameters.items():
                value.copy_(state["parameters"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])

    def save(self) -> None:
        if self.path is None:
            return
        state = {
            "identity": self.identity,
            "step": self.step,
            "history": self.history,
            "best": self.best,
            "parameters": {name: value.detach() for name, value in self.parameters.items()},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        content = io.BytesIO()
        torch.save(state, content)
        write_sealed(content.getvalue(), self.path)

    def add(self, record: dict[str, float]) -> None:
        """Count a step, and keep its parameters if their validation is the best so far."""
        if record["validation"] < min(self._validations, default=math.inf):
            self.best = {name: value.detach().clone() for name, value in self.parameters.items()}
        self.step += 1
        self.history.append({"step": self.step} | record)

    def is_over(self, n_steps: int, patience: int | None) -> bool:
        """Whether all steps are done, or the last `patience` validations brought nothing better."""
        scores = self._validations
        stale = len(scores) - 1 - int(np.argmin(scores)) if scores else 0
        return self.step >= n_steps or (patience is not None and stale >= patience)

    @property
    def learned(self) -> dict[str, Tensor]:
        """The best parameters by validation, or the last ones where nothing was validated."""
        return self.best or {name: value.detach() for name, value in self.parameters.items()}

    @property
    def _validations(self) -> list[float]:
        return [row["validation"] for row in self.history if not math.isnan(row["validation"])]
