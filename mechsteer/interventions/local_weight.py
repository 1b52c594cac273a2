"""The local weight edit: a full ΔW and Δb."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..models.sites import Site
from .base import Intervention


@dataclass(frozen=True, eq=False)
class LocalWeight(Intervention):
    """Adds m·(ΔW h + Δb), as editing the site's own weight and bias would."""

    weight: Float[Tensor, "d_out d_in"]
    bias: Float[Tensor, " d_out"]

    form = "local_weight"

    def delta(self, h: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        weight, bias = self.weight.to(h.device), self.bias.to(h.device)
        return h.to(weight.dtype) @ weight.T + bias

    @classmethod
    def init(cls, site: Site, d_in: int, d_out: int, *, generator: torch.Generator | None = None) -> "LocalWeight":
        return cls(site, torch.zeros(d_out, d_in), torch.zeros(d_out))

    def units(self, size_in: float, size_out: float) -> dict[str, float]:
        return {"weight": size_out / (size_in * math.sqrt(self.weight.shape[1])), "bias": size_out}

    @property
    def widths(self) -> tuple[int, int]:
        return self.weight.shape[1], self.weight.shape[0]
