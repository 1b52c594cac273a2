"""LoRA: ΔW = B A of low rank, Δb = 0 (Hu et al. 2021, arXiv 2106.09685)."""

import math
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from ..models.sites import Site
from .base import Shift, uniform

NAME = "lora"
TITLE = "LoRA"
ORDER = 20
STYLE = {"colour": "#B0307A", "marker": "s", "line": "--"}


@final
@dataclass(frozen=True, eq=False)
class LoRA(Shift):
    """Adds m·B A h; `down` is A and `up` is B. There is no alpha/r: a factor would be a second multiplier."""

    down: Float[Tensor, "rank d_in"]
    up: Float[Tensor, "d_out rank"]

    form = NAME

    def delta(self, h: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        down, up = self.down.to(h.device), self.up.to(h.device)
        return h.to(down.dtype) @ down.T @ up.T

    @classmethod
    def init(
        cls, site: Site, d_in: int, d_out: int, *, generator: torch.Generator | None = None, rank: int = 4
    ) -> "LoRA":
        # As in the paper of LoRA: A random (here Kaiming-uniform, as its code has it), B zero.
        return cls._drawn(site, d_in, d_out, rank, 1 / math.sqrt(d_in), generator)

    @classmethod
    def init_wide(
        cls, site: Site, d_in: int, d_out: int, *, generator: torch.Generator | None = None, rank: int = 4
    ) -> "LoRA":
        # There A is stored as [d_in, rank], and Kaiming's bound is taken of the second length.
        return cls._drawn(site, d_in, d_out, rank, 1 / math.sqrt(rank), generator)

    @classmethod
    def _drawn(
        cls, site: Site, d_in: int, d_out: int, rank: int, bound: float, generator: torch.Generator | None
    ) -> "LoRA":
        return cls(site, uniform(rank, d_in, bound=bound, generator=generator), torch.zeros(d_out, rank))

    def units(self, size_in: float, size_out: float) -> dict[str, float]:
        rank, d_in = self.down.shape
        # Entries of A h are about size_in / √3 large when A is drawn as above.
        return {"down": 1 / math.sqrt(d_in), "up": size_out / size_in * math.sqrt(3 / rank)}

    def as_weights(self, d_in: int, d_out: int) -> tuple[Float[Tensor, "d_out d_in"], Float[Tensor, " d_out"]]:
        return self.up.float() @ self.down.float(), torch.zeros(d_out)

    def times(self, factor: float) -> "LoRA":
        return replace(self, up=factor * self.up)

    @property
    def widths(self) -> tuple[int, int]:
        return self.down.shape[1], self.up.shape[0]
