"""The shift itself: m·Δh, and how large it is beside what it is added to."""

import torch
from jaxtyping import Float
from torch import Tensor


def scaled(
    multiplier: Float[Tensor, " rows"], delta: Float[Tensor, "rows pos d_out"]
) -> Float[Tensor, "rows pos d_out"]:
    """m·Δh, each row under its own multiplier; nothing where m is 0, even if the delta is infinite."""
    m = multiplier[:, None, None]
    return torch.where(m != 0, m * delta, 0.0)


def relative_size(
    shift: Float[Tensor, "rows pos d_out"], value: Float[Tensor, "rows pos d_out"]
) -> Float[Tensor, "rows pos"]:
    """‖shift‖/‖value‖ of each token, in float32 or better."""
    norm = torch.linalg.vector_norm
    return norm(shift.detach().float(), dim=-1) / norm(value.detach().float(), dim=-1).clamp(min=1e-30)
