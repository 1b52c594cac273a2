"""Work that the wrapped Hugging Face modules do themselves, between the hooks that the bridge keeps on their borders.

A bridge computes attention and norms in steps of its own, so that each step has a hook. That takes several times as long
and, for attention, as much memory. What lies inside is given up for attention; a norm goes back to the bridge's steps as
soon as somebody hooks one.
"""

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import gelu
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.generalized_components import NormalizationBridge
from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent
from transformers.activations import NewGELUActivation


def run_natively(bridge: TransformerBridge) -> None:
    """Attention, norms and GPT-2's GELU of the whole model."""
    for block in bridge.blocks:
        if hasattr(block, "attn"):
            _attend_natively(block.attn)
    for module in bridge.modules():
        if isinstance(module, NormalizationBridge):
            _normalize_natively(module)
        elif type(module) is NewGELUActivation:
            # The same function in one pass over memory; Hugging Face's takes eight.
            module.forward = partial(gelu, approximate="tanh")


def native_norms(bridge: TransformerBridge) -> list[Any]:
    """The norms that Hugging Face's modules are, those within attention too."""
    inside = bridge.original_model.modules()
    return [module for module in inside if not isinstance(module, GeneralizedComponent) and is_norm(module)]


def is_norm(module: nn.Module) -> bool:
    return is_centred(module) or "RMSNorm" in type(module).__name__


def is_centred(module: nn.Module) -> bool:
    """Whether a norm takes off the mean."""
    return isinstance(module, nn.LayerNorm)


def _attend_natively(attn: Any) -> None:
    original = attn.original_component
    # In GPT-2's family the bridge's output projection stands beside the original one: put it in its place, so that
    # the hooks of `attn.o` fire.
    projection = getattr(attn, "o", None)
    for name, child in list(original.named_children()):
        if projection is not None and child is projection.original_component:
            setattr(original, name, projection)

    def forward(*args: Any, **kwargs: Any) -> Any:
        if "hidden_states" in kwargs:
            kwargs["hidden_states"] = attn.hook_in(kwargs["hidden_states"])
        else:
            args = (attn.hook_in(args[0]), *args[1:])
        output = original(*args, **kwargs)
        return (attn.hook_out(output[0]), *output[1:]) if isinstance(output, tuple) else attn.hook_out(output)

    # A plain assignment is redirected into the wrapped module.
    object.__setattr__(attn, "forward", forward)


def _normalize_natively(norm: NormalizationBridge) -> None:
    original: Any = norm.original_component
    in_steps = norm.forward
    if not is_norm(original):
        return

    def forward(hidden_states: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        if any(step._forward_hooks or step._backward_hooks for step in (norm.hook_scale, norm.hook_normalized)):
            return in_steps(hidden_states, **kwargs)
        return norm.hook_out(original(norm.hook_in(hidden_states)))

    object.__setattr__(norm, "forward", forward)
