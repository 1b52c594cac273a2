"""Logits under a steer's hooks against those of the model with its own weight and bias edited, as one_operation judges.

At a residual site W is the identity, and plain PyTorch hooks put the edited map in its place.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

import mechsteer as ms
from mechsteer.engine.losses import batches
from mechsteer.interventions import Intervention
from mechsteer.measuring.sweeps import Sweep
from mechsteer.models.hooks import SECOND_NORM
from mechsteer.store.keys import labelled

from ..claims.one_operation import COLUMNS, TOLERANCE

N_TEXTS = 24
RELATIVE_SHIFT = 0.5
"""The relative shift of the comparison: large enough to change the model, too small to break it."""


def compare(
    model: ms.Model, intervention: Intervention, testing: ms.Pairs, sweep: Sweep, *, prompt_format: str | None = None
) -> pd.DataFrame:
    """A row for each of a few texts: the largest differences of logits at its completion.

    `difference` is between hooks and edited weights, `change` between hooks and the unsteered model, `reversed` between
    hooks and weights edited by the opposite sign.
    """
    encoded = ms.encode_pairs(model, testing[:N_TEXTS], prompt_format or sweep.key.prompt_format)
    multiplier = sweep.multiplier_at(RELATIVE_SHIFT, 1 if sweep.multipliers[-1] > 0 else -1)
    # A low precision rounds the edited weight itself.
    tolerance = max(TOLERANCE, 16 * torch.finfo(model.dtype).eps)
    rows = []
    for item in batches([(pair.positive, pair.begin) for pair in encoded], 8, model.padding_token):
        # Edited weights act on every token.
        everywhere = torch.ones_like(item.batch.attention_mask)
        predicting = item.batch.completion_mask.roll(-1, dims=1)
        with torch.no_grad():
            base = model.logits(item.batch, at=predicting)
            with ms.steer(model, intervention, multiplier, everywhere):
                hooked = model.logits(item.batch, at=predicting)
            with edited(model, intervention, multiplier):
                by_weights = model.logits(item.batch, at=predicting)
            with edited(model, intervention, -multiplier):
                by_reversed = model.logits(item.batch, at=predicting)
        largest = [(hooked - other).abs().amax(dim=1).float().cpu() for other in (by_weights, base, by_reversed)]
        row = predicting.nonzero()[:, 0]
        for index, text in enumerate(item.rows):
            sizes = [float(size[row == index].max()) for size in largest]
            rows.append((encoded[text].id, multiplier, *sizes, tolerance))
    return labelled(pd.DataFrame(rows, columns=COLUMNS), sweep.key)


@contextmanager
def edited(model: ms.Model, intervention: Intervention, multiplier: float) -> Iterator[None]:
    """The model with m ΔW and m Δb added to the map at every site; afterwards its weights are restored bit for bit."""
    if intervention.rule != ms.Add():
        raise ms.InputError(
            f"The steer acts by the rule {intervention.rule}, which no edit of weights can express. Pass one that adds m·Δh."
        )
    with ExitStack() as stack:
        for site, shift in intervention.shifts.items():
            weight, bias = (multiplier * part for part in shift.as_weights(*site.widths(model)))
            stack.enter_context(_edited(model.bridge.blocks[site.layer], site.place, weight, bias))
        yield


def _edited(block: Any, place: str, weight: Tensor, bias: Tensor) -> AbstractContextManager[None]:
    """Edits the map at one place of a block."""
    if place in ("mlp.out", "attn.o"):
        projection = block.mlp.out if place == "mlp.out" else block.attn.o
        return _edited_linear(projection.original_component, weight, bias)
    if place == "mlp.bypass":
        return _beside(block, weight, bias)
    return _edited_residual(block, place, weight, bias)


@contextmanager
def _beside(block: Any, weight: Tensor, bias: Tensor) -> Iterator[None]:
    """Adds a new map from the down-projection's input to the block's output."""
    read: list[Tensor] = []

    def leave(module: nn.Module, args: tuple, output: Tensor | tuple) -> Tensor | tuple:
        residual, *rest = output if isinstance(output, tuple) else (output,)
        added = nn.functional.linear(read.pop().float(), weight.to(residual.device), bias.to(residual.device))
        residual = residual + added.view_as(residual).to(residual.dtype)
        return (residual, *rest) if isinstance(output, tuple) else residual

    down = block.mlp.out.original_component
    handles = [
        down.register_forward_pre_hook(lambda module, args: read.append(args[0])),
        block.original_component.register_forward_hook(leave),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _edited_residual(block: Any, place: str, weight: Tensor, bias: Tensor) -> Iterator[None]:
    """W = I becomes I + m ΔW. Between attention and MLP there is no module, but the second norm reads the stream there."""
    between: list[Tensor] = []

    def affine(h: Tensor) -> Tensor:
        whole = torch.eye(len(weight)).to(weight) + weight
        return nn.functional.linear(h.float(), whole.to(h.device), bias.to(h.device)).to(h.dtype)

    def enter(module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        if "hidden_states" in kwargs:
            return args, kwargs | {"hidden_states": affine(kwargs["hidden_states"])}
        return (affine(args[0]), *args[1:]), kwargs

    def norm(module: nn.Module, args: tuple) -> tuple:
        between[:] = [affine(args[0]) - args[0]]
        return (args[0] + between[0], *args[1:])

    def leave(module: nn.Module, args: tuple, output: Tensor | tuple) -> Tensor | tuple:
        residual, *rest = output if isinstance(output, tuple) else (output,)
        residual = residual + between.pop().view_as(residual) if place == "resid_mid" else affine(residual)
        return (residual, *rest) if isinstance(output, tuple) else residual

    inner, handles = block.original_component, []
    if place == "resid_pre":
        handles.append(inner.register_forward_pre_hook(enter, with_kwargs=True))
    else:
        handles.append(inner.register_forward_hook(leave))
    if place == "resid_mid":
        handles.append(getattr(block, SECOND_NORM).register_forward_pre_hook(norm))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _edited_linear(module: Any, weight: Tensor, bias: Tensor) -> Iterator[None]:
    own_weight, own_bias = module.weight, module.bias
    # GPT-2 keeps its weights transposed.
    is_transposed = type(module) is Conv1D
    added = (weight.T if is_transposed else weight).to(own_weight.device)
    shift = bias.to(own_weight.device)
    try:
        module.weight = nn.Parameter((own_weight.float() + added).to(own_weight.dtype), requires_grad=False)
        whole = shift if own_bias is None else own_bias.float() + shift
        module.bias = nn.Parameter(whole.to(own_weight.dtype), requires_grad=False)
        yield
    finally:
        module.weight, module.bias = own_weight, own_bias
