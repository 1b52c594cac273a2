"""A model's fingerprint: every weight and the configuration, hashed; the same on any device, and in float32 and bfloat16."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

N_WORDS = 2**15
"""Words of eight bytes that one sum is of: what a core's cache holds."""
NO_PART = (
    "_name_or_path", "name_or_path", "architectures", "auto_map", "transformers_version", "dtype", "torch_dtype",
    "quantization_config", "use_cache", "output_attentions", "output_hidden_states", "return_dict",
)  # fmt: skip
"""Names, paths and versions in a configuration, what is kept and returned, and what the rest of a model's identity says."""


@torch.no_grad()
def fingerprint(hf: PreTrainedModel) -> str:
    """Sixteen digits that differ where a weight differs by more than bfloat16 rounds, or the configuration does.

    What is not a float, such as packed weights and what scales them, counts by its bytes. A GB of float32 takes half a second.
    """
    digest = hashlib.sha256(json.dumps(_said(hf.config.get_text_config()), sort_keys=True).encode())
    state = hf.state_dict(keep_vars=True)
    # What is tied has several names, and counts once, by the first.
    first = {id(tensor): name for name, tensor in reversed(state.items())}
    for name, tensor in sorted(state.items()):
        if isinstance(tensor, Tensor) and first[id(tensor)] == name:
            digest.update(f"{name}{tuple(tensor.shape)}".encode())
            digest.update(_sums(tensor.detach().reshape(-1)).cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _sums(values: Shaped[Tensor, " n"]) -> Int[Tensor, " blocks"]:
    """A number for each block of words, in which each word's place counts: no single change leaves it as it is."""
    weights = _weights().to(values.device)
    # Few at a time on a CPU, for its cache; many on a GPU, for which each call takes as long.
    n_blocks = 1 if values.device.type == "cpu" else 512
    found = []
    for some in values.split(n_blocks * N_WORDS * 8 // min(values.element_size(), 2)):
        bits = (some.to(torch.bfloat16) if some.is_floating_point() else some).view(torch.uint8)
        bits = torch.nn.functional.pad(bits, (0, -len(bits) % (8 * N_WORDS)))
        product = bits.view(torch.int64).view(-1, N_WORDS) * weights
        # Without the upper half folded in, two changed signs in a word's last place would cancel.
        found.append((product ^ (product >> 32)).sum(dim=1))
    return torch.cat(found)


@cache
def _weights() -> Int[Tensor, " words"]:
    """Odd numbers, so that multiplying loses nothing; these bits are the same in every version of NumPy."""
    return torch.from_numpy(np.random.PCG64(0).random_raw(N_WORDS).view(np.int64)) | 1


def _said(value: Any) -> Any:
    """A configuration as far as it is part of a model; floats as a GGUF file holds them, in float32."""
    if isinstance(value, PreTrainedConfig):
        value = value.to_dict()
    if isinstance(value, Mapping):
        # Which tokens are special is the tokenizer's to say.
        kept = {str(name): item for name, item in value.items() if name not in NO_PART}
        return {name: _said(item) for name, item in kept.items() if not name.endswith("_token_id")}
    if isinstance(value, (list, tuple)):
        return [_said(item) for item in value]
    if isinstance(value, float):
        return float(np.float32(value))
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)
