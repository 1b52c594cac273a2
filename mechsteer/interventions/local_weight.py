"""The local weight edit: a full ΔW and Δb."""

import math
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from ..models.sites import Site
from .base import Shift

NAME = "local_weight"
TITLE = "local weight"
ORDER = 30
STYLE = {"colour": "#3DBFA0", "marker": "^", "line": "-."}


@final
@dataclass(frozen=True, eq=False)
class LocalWeight(Shift):
    """Adds m·(ΔW h + Δb), as editing the site's own weight and bias would."""

    weight: Float[Tensor, "d_out d_in"]
    bias: Float[Tensor, " d_out"]

    form = NAME

    def delta(self, h: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        weight, bias = self.weight.to(h.device), self.bias.to(h.device)
        return h.to(weight.dtype) @ weight.T + bias

    @classmethod
    def init(cls, site: Site, d_in: int, d_out: int, *, generator: torch.Generator | None = None) -> "LocalWeight":
        return cls(site, torch.zeros(d_out, d_in), torch.zeros(d_out))

    def units(self, size_in: float, size_out: float) -> dict[str, float]:
        return {"weight": size_out / (size_in * math.sqrt(self.weight.shape[1])), "bias": size_out}

    def as_weights(self, d_in: int, d_out: int) -> tuple[Float[Tensor, "d_out d_in"], Float[Tensor, " d_out"]]:
        return self.weight.float(), self.bias.float()

    def times(self, factor: float) -> "LocalWeight":
        return replace(self, weight=factor * self.weight, bias=factor * self.bias)

    @property
    def widths(self) -> tuple[int, int]:
        return self.weight.shape[1], self.weight.shape[0]
