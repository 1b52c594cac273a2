"""Any shift at a linear map as two factors and a bias, exactly."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..interventions.base import Shift
from ..interventions.lora import LoRA


def fit(down: Tensor, up: Tensor) -> bool:
    """Whether two tensors of a file are the factors of a map of some rank."""
    return down.ndim == up.ndim == 2 and down.shape[0] == up.shape[1] > 0


def factors(
    shift: Shift, d_in: int, d_out: int
) -> tuple[Float[Tensor, "rank d_in"], Float[Tensor, "d_out rank"], Float[Tensor, " d_out"]]:
    """A, B and b of Δh = B A h + b: a LoRA's own, rank one and zero where there is no ΔW, else ΔW beside the identity."""
    if isinstance(shift, LoRA):
        return shift.down.float(), shift.up.float(), torch.zeros(d_out)
    weight, bias = shift.as_weights(d_in, d_out)
    if not weight.any():
        return torch.zeros(1, d_in), torch.zeros(d_out, 1), bias
    if d_in < d_out:
        return torch.eye(d_in), weight, bias
    return weight, torch.eye(d_out), bias
