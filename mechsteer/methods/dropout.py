"""Dropout on the delta while it is learned, from a generator of its own so that a run can be repeated."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from ..interventions.wrapped import Wrapped


@final
@dataclass(frozen=True, eq=False)
class Dropout(Wrapped):
    """An intervention whose delta loses each entry with probability `rate`; what is left is scaled up to the same mean."""

    rate: float
    generator: torch.Generator

    def delta(self, h: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        delta = self.inner.delta(h)
        kept = torch.rand(delta.shape, generator=self.generator, device=self.generator.device) >= self.rate
        return delta * kept.to(delta.device) / (1 - self.rate)
