"""Hooks of others than the bridge: whether any stands, and the model without them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from .model import Model


def is_hooked(model: Model, module: nn.Module) -> bool:
    """Whether a hook stands on the module, or inside it, that is not the bridge's own."""
    return any(_is_of_others(model, key, hook) for hooks in _hooks(module) for key, hook in hooks.items())


@contextmanager
def unhooked(model: Model) -> Iterator[None]:
    """Forwards inside the block pass no hook but the bridge's own: no steer acts, and nobody looks."""
    kept = [(hooks, hooks.copy()) for root in (model.bridge, model.hf) for hooks in _hooks(root) if hooks]
    for hooks, before in kept:
        for key, hook in before.items():
            if _is_of_others(model, key, hook):
                hooks.pop(key, None)
    try:
        yield
    finally:
        for hooks, before in kept:
            # Those that came meanwhile stay behind what was there.
            came = {key: hook for key, hook in hooks.items() if key not in before}
            hooks.clear()
            hooks.update(before)
            hooks.update(came)


def _hooks(root: nn.Module) -> Iterator[dict[int, Any]]:
    for module in root.modules():
        yield from (module._forward_hooks, module._forward_pre_hooks)


def _is_of_others(model: Model, key: int, hook: Any) -> bool:
    # Some of the bridge's own come with its first forward: by them it remembers a block's inputs, or scales them.
    return key not in model.own_hooks and not str(getattr(hook, "__module__", "")).startswith(
        "transformer_lens.model_bridge"
    )
