"""Dropout on the delta while it is learned, from a seed of its own so that a run can be repeated."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from ..interventions.wrapped import Wrapped


@final
@dataclass(frozen=True, eq=False)
class Dropout(Wrapped):
    """An intervention whose delta loses each entry with probability `rate`; what is left is scaled up to the same mean.

    A delta that is the same at every token loses the same entries at all of them: those of the vector.
    """

    rate: float
    seed: int
    """Of what is left out: the same whenever the delta is taken, for gradient checkpointing takes it twice."""

    def delta(self, h: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        delta = self.inner.delta(h)
        drawn = delta.shape if self.inner.widths[0] is not None else delta.shape[-1:]
        kept = torch.rand(drawn, generator=torch.Generator().manual_seed(self.seed)) >= self.rate
        return delta * kept.to(delta.device) / (1 - self.rate)
