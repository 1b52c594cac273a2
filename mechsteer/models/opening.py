"""Opening a language model: a built-in one, a hub name, a folder in Hugging Face format, a GGUF file, or one in memory."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..errors import InputError
from ..guestbook import LANGUAGES
from ..paths import resolved
from .bridging import bridged
from .checkpoint import check_causal, open_checkpoint
from .fingerprint import fingerprint
from .gguf import unpacked
from .model import Model, embedding
from .source import WHERE, Source
from .tokenizer import check_fits, open_tokenizer

DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
"""Which devices are used is left to accelerate; any other word is a device."""
BUILT_IN = {name: language.model_folder for name, language in LANGUAGES.items()}


def load_model(
    model: str | Path | PreTrainedModel,
    *,
    tokenizer: PreTrainedTokenizerBase | str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    attention: str = "native",
    **from_pretrained: Any,
) -> Model:
    """Open a causal language model: a built-in one such as "guestbook", a hub name, a folder, a GGUF file, or one in memory.

    "$NAME/rest" is a path that begins with a variable of the environment.

    Args:
        tokenizer: a tokenizer, or where one lies; by default what lies beside the model, if it is not in memory.
        device: by default a GPU where there is one, else the CPU; leave it out when you pass `device_map`.
        dtype: by default that of the checkpoint; float32 for a GGUF file.
        attention: "native" computes attention and norms as Hugging Face does (SDPA where the family has it); "eager" lets
            TransformerLens recompute them step by step, so that attention scores and patterns have hooks.
        from_pretrained: whatever else `AutoModelForCausalLM.from_pretrained` takes (`device_map`, `revision`,
            `trust_remote_code`, ...).

    A model in memory is wrapped in place: do not use it apart from the result afterwards.
    """
    if attention not in ("native", "eager"):
        raise InputError(f"attention={attention!r} is unknown. Choose 'native' or 'eager'.")
    if (device_map := from_pretrained.get("device_map")) is not None and device is not None:
        raise InputError(f"The device {str(device)!r} and the device map {device_map!r} came. Choose one.")
    if isinstance(device_map, (str, torch.device)) and device_map not in DEVICE_MAPS:
        _device(device_map)
    dtype = _dtype(dtype)
    if isinstance(model, PreTrainedModel):
        name, hf = model.config.name_or_path or type(model).__name__, model
        _move(hf, None if device is None else _device(device), dtype)
    else:
        name = str(model)
        place = None if device_map is not None else _device(device)
        source, options = files_of(str(BUILT_IN.get(name, name)), dtype, from_pretrained)
        hf = open_checkpoint(source, dtype, options)
        if place is not None:
            _move(hf, place)
        tokenizer = open_tokenizer(source, options) if tokenizer is None else tokenizer
    if isinstance(tokenizer, (str, Path)):
        asked = str(tokenizer)
        tokenizer = load_tokenizer(asked, dtype, {k: v for k, v in from_pretrained.items() if k != "gguf_file"})
        if tokenizer is None:
            raise InputError(f"No tokenizer lies at {asked!r}. Pass a tokenizer, its folder or a hub name.")
    hf.eval()
    check_causal(hf, name)
    if tokenizer is not None:
        check_fits(tokenizer, len(embedding(hf)), name)

    found = fingerprint(hf)
    bridge = bridged(hf, attention)
    own_hooks = frozenset(
        key
        for module in bridge.modules()
        for hooks in (module._forward_hooks, module._forward_pre_hooks)
        for key in hooks
    )
    return Model(bridge, tokenizer, name, from_pretrained.get("revision"), found, own_hooks)


def load_tokenizer(
    source: str, dtype: str | torch.dtype | None = None, options: Mapping[str, Any] = MappingProxyType({})
) -> PreTrainedTokenizerBase | None:
    """What lies beside a model, which is not opened; None where no vocabulary does."""
    return open_tokenizer(*files_of(source, _dtype(dtype), options))


def files_of(name: str, dtype: torch.dtype | None, options: Mapping[str, Any]) -> tuple[Source, Mapping[str, Any]]:
    """Where files in Hugging Face format lie, and the options that hold there; a GGUF file is unpacked for it."""
    source = Source.at(resolved(name), options)
    if not source.gguf:
        return source, options
    return unpacked(source, dtype), {key: value for key, value in options.items() if key not in (*WHERE, "gguf_file")}


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The device {str(device)!r} cannot be used here. Try --device cpu.") from error
    return device


def _move(hf: nn.Module, device: torch.device | None, dtype: torch.dtype | None = None) -> None:
    # A quantised model refuses a dtype, even None.
    hf.to(device) if dtype is None else hf.to(device, dtype)


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    if isinstance(dtype, str):
        found = getattr(torch, dtype, None)
        if not isinstance(found, torch.dtype) or not found.is_floating_point:
            raise InputError(f"The dtype {dtype!r} is unknown. Choose float32, bfloat16 or float16.")
        return found
    return dtype
