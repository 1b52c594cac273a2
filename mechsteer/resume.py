"""Resuming a forward at a block: what lies below a site does not depend on the steer, so it is computed once.

The blocks below become the identity, and the residual that entered the block is put back at its input. Embeddings,
masks and positions are computed as ever, so every family behaves as in a whole forward, bit for bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .models import Hook, Model, TokenBatch
from .sites import Site


@torch.no_grad()
def residual_entering(model: Model, layer: int, batch: TokenBatch) -> Float[Tensor, "batch pos d_model"]:
    """The residual stream as it enters block `layer`, unsteered there."""
    seen: list[Tensor] = []
    hook = Site(layer, "resid_pre").hook
    with model.hooks([(hook, _stop_with(seen))]), suppress(_Stop):
        model.logits(batch, at=torch.zeros_like(batch.completion_mask))
    return seen[0]


@contextmanager
def resumed(model: Model, layer: int, residual: Float[Tensor, "batch pos d_model"]) -> Iterator[None]:
    """Forwards inside the block skip the blocks below `layer` and go on from `residual`; batches must be the same.

    Where somebody else's hooks stand on a block below, nothing is skipped, so that they fire in every forward.
    """
    if any(_is_hooked(model, block) for block in model.bridge.blocks[:layer]):
        yield
        return

    def replace(entering: Tensor, hook: object) -> Tensor:
        return residual.to(entering.device)

    hooks: list[Hook] = [(Site(layer, "resid_pre").hook, replace)]
    skipped = list(model.bridge.blocks[:layer])
    try:
        for block in skipped:
            # A plain assignment would be redirected into the wrapped module.
            object.__setattr__(block, "forward", _identity)
        with model.hooks(hooks):
            yield
    finally:
        for block in skipped:
            object.__delattr__(block, "forward")


def _identity(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return hidden_states


def _is_hooked(model: Model, block: nn.Module) -> bool:
    kept = [hooks for module in block.modules() for hooks in (module._forward_hooks, module._forward_pre_hooks)]
    return any(
        key not in model.own_hooks and not _captures(function) for hooks in kept for key, function in hooks.items()
    )


def _captures(function: Any) -> bool:
    """Whether this is a hook by which a bridge remembers a block's inputs; they come with its first forward."""
    return str(getattr(function, "__qualname__", "")).startswith("BlockBridge.")


class _Stop(Exception):
    """Raised where the rest of a forward is not needed."""


def _stop_with(seen: list[Tensor]):
    def stop(residual: Tensor, hook: object) -> None:
        seen.append(residual)
        raise _Stop

    return stop
