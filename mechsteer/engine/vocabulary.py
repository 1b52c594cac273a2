"""Losses of tokens from the states that predict them, a piece of the vocabulary at a time.

No [tokens, d_vocab] tensor is ever made. The gradient of a loss by its state, softmax·W - W[target], is gathered in the
same pass, so that the backward pass has nothing left to multiply.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..models.model import Model

CHUNK = 4096
"""Entries of the vocabulary at a time."""
ROWS = 512
"""States at a time, at least, where there are so many: fewer keep a core waiting for weights."""


@dataclass(frozen=True, eq=False)
class Unembedding:
    """The map from the last normed residual to logits: softcap·tanh((W h + b) / softcap), or scale·W h + b without a softcap."""

    weight: Float[Tensor, "d_vocab d_model"]
    bias: Float[Tensor, " d_vocab"] | None
    softcap: float | None
    scale: float = 1.0

    @classmethod
    def of(cls, model: Model) -> "Unembedding | None":
        """The model's; None where the last module is not a linear map that lies in memory."""
        linear = getattr(model.bridge.unembed, "original_component", None)
        if type(linear) is not nn.Linear or linear.weight.is_meta:
            return None
        config = model.hf.config.get_text_config()
        softcap = getattr(config, "final_logit_softcapping", None)
        # Cohere multiplies by the one, Granite divides by the other.
        scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1.0)
        # A bridge gives every model a bias; where the model has none, it is zero.
        bias = None if linear.bias is None or not linear.bias.any() else linear.bias.detach()
        return cls(linear.weight.detach(), bias, softcap, scale)

    def losses(self, states: Float[Tensor, "n d_model"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """-log P(target) in nats, float64; gradients reach the states."""
        states = states if self.scale == 1 else states * self.scale
        losses, _ = _Losses.apply(states, targets.to(states.device), self)  # pyright: ignore
        return losses


class LossesInTurn:
    """The losses of states that come a few at a time, computed whenever enough of them wait."""

    def __init__(self, unembedding: Unembedding):
        self.unembedding = unembedding
        self.waiting: list[tuple[Tensor, Tensor]] = []
        self.done = [torch.zeros(0, dtype=torch.float64, device=unembedding.weight.device)]

    def add(self, states: Float[Tensor, "n d_model"], targets: Int[Tensor, " n"]) -> None:
        self.waiting.append((states, targets))
        if sum(len(states) for states, _ in self.waiting) >= ROWS:
            self._compute()

    def all(self) -> Float[Tensor, " n"]:
        """In the order in which their states came."""
        self._compute()
        return torch.cat(self.done)

    def _compute(self) -> None:
        if self.waiting:
            states, targets = (torch.cat(parts) for parts in zip(*self.waiting, strict=True))
            self.waiting.clear()
            self.done.append(self.unembedding.losses(states, targets))


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, targets: Tensor, unembedding: Unembedding) -> tuple[Tensor, Tensor]:
        n_parts = max(1, len(states) // ROWS)
        found = [
            _losses(part, goal, unembedding, with_gradient=ctx.needs_input_grad[0])
            for part, goal in zip(states.tensor_split(n_parts), targets.tensor_split(n_parts), strict=True)
        ]
        losses, gradients = (torch.cat(parts) for parts in zip(*found, strict=True))
        ctx.save_for_backward(gradients)
        ctx.mark_non_differentiable(gradients)
        return losses, gradients

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradients,) = ctx.saved_tensors
        return (upstream[0][:, None] * gradients).to(gradients.dtype), None, None


def _losses(
    states: Float[Tensor, "n d_model"], targets: Int[Tensor, " n"], unembedding: Unembedding, with_gradient: bool
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n _"]]:
    """Losses, and their gradients by the states (of width 0 if nobody asks), by one pass over the vocabulary.

    Sums of exponentials are kept relative to the largest logit so far, and scaled when a larger one comes.
    """
    n, weight, rows = len(states), unembedding.weight, torch.arange(len(states), device=states.device)
    largest = states.new_full((n,), -torch.inf, dtype=torch.float32)
    total, chosen = torch.zeros_like(largest), torch.zeros_like(largest)
    slope = torch.ones_like(largest)
    gradient = states.new_zeros(n, states.shape[1] if with_gradient else 0, dtype=torch.float32)
    buffer = states.new_empty(n, min(CHUNK, len(weight)))
    for first in range(0, len(weight), CHUNK):
        piece = weight[first : first + CHUNK]
        logits = torch.mm(states, piece.T, out=buffer[:, : len(piece)] if len(piece) == buffer.shape[1] else None)
        if unembedding.bias is not None:
            logits += unembedding.bias[first : first + CHUNK]
        if unembedding.softcap is not None:
            logits = logits.div_(unembedding.softcap).tanh_().mul_(unembedding.softcap)
        logits = logits.float()
        here = (targets >= first) & (targets < first + len(piece))
        chosen[here] = logits[rows[here], targets[here] - first]
        bend = None
        if with_gradient and unembedding.softcap is not None:
            bend = 1 - (logits / unembedding.softcap) ** 2
            slope[here] = bend[rows[here], targets[here] - first]
        before, largest = largest, torch.maximum(largest, logits.amax(dim=1))
        scale = (before - largest).exp_()
        exponentials = logits.sub_(largest[:, None]).exp_()
        total = total * scale + exponentials.sum(dim=1)
        if with_gradient:
            pull = exponentials if bend is None else exponentials.mul_(bend)
            gradient.mul_(scale[:, None]).add_(pull.to(piece.dtype) @ piece)
    if with_gradient:
        gradient = gradient / total[:, None] - slope[:, None] * weight[targets].float()
    return (largest + total.log() - chosen).double(), gradient
