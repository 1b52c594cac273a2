"""The shift itself: m·Δh, and how large it is beside what it is added to."""

import torch
from jaxtyping import Float
from torch import Tensor


def scaled(
    multiplier: Float[Tensor, " rows"], delta: Float[Tensor, "rows pos d_out"]
) -> Float[Tensor, "rows pos d_out"]:
    """m·Δh, each row under its own multiplier; nothing where m is 0, even if the delta is infinite."""
    shift = multiplier.to(delta.device)[:, None, None] * delta
    # Not a mask over the whole shift: an engine takes it in every forward. And looked for where the multipliers lie, the CPU as
    # a rule, for a GPU that is asked must first finish its work.
    without = (multiplier == 0).nonzero()[:, 0].to(delta.device)
    return shift.index_fill_(0, without, 0.0) if len(without) else shift


def relative_size(
    shift: Float[Tensor, "rows pos d_out"], value: Float[Tensor, "rows pos d_out"]
) -> Float[Tensor, "rows pos"]:
    """‖shift‖/‖value‖ of each token, in float32 or better."""
    norm = torch.linalg.vector_norm
    return norm(shift.detach().float(), dim=-1) / norm(value.detach().float(), dim=-1).clamp(min=1e-30)
