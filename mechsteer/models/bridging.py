"""A Hugging Face model behind TransformerLens's hooks, which still says what it said."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import PreTrainedModel

from ..errors import InputError
from .model import CONTEXT_LENGTHS
from .native import run_natively
from .source import first_line
from .switches import numbers

LONGEST = 1024
"""Tokens on which attention step by step is compared, at most."""
ALIKE, EXPLAINED = 1e-4, 2.5
"""Nats that need no explanation, and how many times as large a difference may be as what rounded embeddings make, as root mean
squares. On 80 tiny families whose attention is right step by step that is 0 to 1.4, in float32 and in bfloat16."""


def bridged(hf: PreTrainedModel, attention: str) -> TransformerBridge:
    """The model, wrapped in place; one sentence if TransformerLens cannot, or if attention step by step says something else."""
    architecture = type(hf).__name__
    if hf.config.architectures is None:
        hf.config.architectures = [architecture]
    implementation = hf.config._attn_implementation or "eager"
    witness = _Witness.of(hf) if attention == "eager" else None
    try:
        bridge = build_bridge_from_module(hf, architecture=architecture, hf_config=hf.config, tokenizer=None)
    except (ValueError, ImportError) as error:
        raise InputError(f"TransformerLens cannot open a {architecture} ({first_line(error)}).") from error
    if not hasattr(bridge, "blocks"):
        raise InputError(f"A {architecture} is not a single stack of blocks, so no site in it has a layer.")
    bridge.eval()
    # After bridging: GPT-2 and NeoX get fresh trainable query, key and value parameters by it.
    bridge.requires_grad_(False)
    if attention == "native":
        hf.set_attn_implementation(implementation)
        run_natively(bridge)
    if witness is not None and not witness.confirms(hf):
        raise InputError(
            f"Computed step by step, the attention of a {architecture} fails or gives other numbers. Leave out attention='eager'."
        )
    return bridge


@dataclass(frozen=True, eq=False)
class _Witness:
    """What a model says of a text that is longer than every window, and how far rounding moves that."""

    tokens: Int[Tensor, "1 pos"]
    said: Float[Tensor, "1 pos d_vocab"]
    noise: float

    @classmethod
    def of(cls, hf: PreTrainedModel) -> "_Witness":
        found = [getattr(hf.config.get_text_config(), name, None) for name in CONTEXT_LENGTHS]
        end = min([LONGEST, *(length for length in found if isinstance(length, int))])
        # The last number that two tokens more pass before the model ends.
        longest = max((number for number in numbers(hf.config) if number + 2 <= end), default=0)
        generator = torch.Generator().manual_seed(0)
        embeddings: Any = hf.get_input_embeddings()
        tokens = torch.randint(embeddings.weight.shape[0], (1, max(8, longest + 2)), generator=generator)

        def move(module: object, args: object, output: Tensor) -> Tensor:
            by = torch.rand(output.shape, generator=generator).to(output.device) - 0.5
            return (output.float() * (1 + torch.finfo(output.dtype).eps * by)).to(output.dtype)

        said = _said(hf, tokens)
        handle = embeddings.register_forward_hook(move)
        try:
            return cls(tokens, said, _size(_said(hf, tokens) - said))
        finally:
            handle.remove()

    def confirms(self, hf: PreTrainedModel) -> bool:
        """Whether it still says something, and rounding explains what has changed."""
        try:
            difference = _size(_said(hf, self.tokens) - self.said)
        except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError):
            return False
        return difference <= max(ALIKE, EXPLAINED * self.noise)


@torch.no_grad()
def _said(hf: PreTrainedModel, tokens: Int[Tensor, "1 pos"]) -> Float[Tensor, "1 pos d_vocab"]:
    embeddings: Any = hf.get_input_embeddings()
    logits = hf(input_ids=tokens.to(embeddings.weight.device), use_cache=False).logits
    return logits.float().log_softmax(-1)


def _size(values: Float[Tensor, "*n"]) -> float:
    return float(values.square().mean().sqrt())
