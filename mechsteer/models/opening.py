"""Opening a language model: a built-in one, a hub name, a folder in Hugging Face format, or one in memory."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..errors import InputError
from .model import Model
from .native import run_natively

BUILT_IN = {"guestbook": Path(__file__).parents[1] / "guestbook" / "model"}


def load_model(
    model: str | Path | PreTrainedModel,
    *,
    tokenizer: PreTrainedTokenizerBase | str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    attention: str = "native",
    **from_pretrained: Any,
) -> Model:
    """Open a causal language model: "guestbook", a hub name, a folder, or a Hugging Face model in memory.

    Args:
        tokenizer: a tokenizer, or where one lies; by default what lies beside the model, if it is not in memory.
        device: by default a GPU where there is one, else the CPU; leave it out when you pass `device_map`.
        dtype: by default that of the checkpoint.
        attention: "native" computes attention and norms as Hugging Face does (SDPA where the family has it); "eager" lets
            TransformerLens recompute them step by step, so that attention scores and patterns have hooks.
        from_pretrained: whatever else `AutoModelForCausalLM.from_pretrained` takes (`device_map`, `revision`,
            `trust_remote_code`, ...).

    A model in memory is wrapped in place: do not use it apart from the result afterwards.
    """
    if attention not in ("native", "eager"):
        raise InputError(f"attention={attention!r} is unknown. Choose 'native' or 'eager'.")
    dtype = _dtype(dtype)
    if isinstance(model, PreTrainedModel):
        name, hf = model.config.name_or_path or type(model).__name__, model
        _move(hf, None if device is None else _device(device), dtype)
    else:
        name = str(model)
        source = str(BUILT_IN.get(name, name))
        hf = _from_pretrained(source, dtype, from_pretrained)
        if "device_map" not in from_pretrained:
            _move(hf, _device(device))
        if tokenizer is None:
            tokenizer = source
    if isinstance(tokenizer, (str, Path)):
        asked, tokenizer = str(tokenizer), load_tokenizer(str(tokenizer), from_pretrained)
        if tokenizer is None and (isinstance(model, PreTrainedModel) or asked != str(BUILT_IN.get(name, name))):
            raise InputError(f"No tokenizer could be opened at {asked!r}. Pass a tokenizer, its folder or a hub name.")

    fingerprint = _fingerprint(hf)
    bridge = _bridge(hf, attention)
    own_hooks = frozenset(
        key
        for module in bridge.modules()
        for hooks in (module._forward_hooks, module._forward_pre_hooks)
        for key in hooks
    )
    return Model(bridge, tokenizer, name, from_pretrained.get("revision"), fingerprint, own_hooks)


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
    hf.to(device=device, dtype=dtype)


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    if isinstance(dtype, str):
        found = getattr(torch, dtype, None)
        if not isinstance(found, torch.dtype) or not found.is_floating_point:
            raise InputError(f"The dtype {dtype!r} is unknown. Choose float32, bfloat16 or float16.")
        return found
    return dtype


def _from_pretrained(source: str, dtype: torch.dtype | None, options: dict[str, Any]) -> PreTrainedModel:
    folder = Path(source)
    if folder.is_file():
        raise InputError(f"{source!r} is a file, not a model. Pass the folder that holds its config.json.")
    if folder.is_dir() and not (folder / "config.json").exists():
        raise InputError(f"The folder {source!r} holds no config.json, so it is no Hugging Face model.")
    with _quiet():
        try:
            # "auto" is the checkpoint's own dtype.
            return AutoModelForCausalLM.from_pretrained(source, dtype="auto" if dtype is None else dtype, **options)
        except (OSError, ValueError) as error:
            raise InputError(
                f"No model could be opened at {source!r} ({_first_line(error)}). "
                "Pass 'guestbook', a folder with a Hugging Face model, or a hub name that this machine can reach."
            ) from error


def load_tokenizer(source: str, options: Mapping[str, Any] = {}) -> PreTrainedTokenizerBase | None:  # noqa: B006
    """What lies beside a model; None where nothing can be opened."""
    kept = {key: options[key] for key in ("revision", "trust_remote_code", "token", "cache_dir") if key in options}
    with _quiet():
        try:
            return AutoTokenizer.from_pretrained(source, **kept)
        except (OSError, ValueError, KeyError, TypeError):
            # A model may be opened without one; whoever needs text asks for it by `require_tokenizer`.
            return None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")


@contextmanager
def _quiet() -> Iterator[None]:
    """Hugging Face's progress bars for loading weights say nothing about a study."""
    was_enabled = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            transformers.utils.logging.enable_progress_bar()


def _fingerprint(hf: PreTrainedModel) -> str:
    """A hash of every parameter's name and shape and of a sample of its values, equal in float32 and bfloat16."""
    digest = hashlib.sha256()
    for name, parameter in sorted(hf.named_parameters()):
        digest.update(f"{name}{tuple(parameter.shape)}".encode())
        values = parameter.detach().reshape(-1)
        sample = values[:: max(1, len(values) // 1024)][:1024]
        digest.update(sample.to("cpu", torch.bfloat16).view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:16]


def _bridge(hf: PreTrainedModel, attention: str) -> TransformerBridge:
    architecture = type(hf).__name__
    if hf.config.architectures is None:
        hf.config.architectures = [architecture]
    implementation = hf.config._attn_implementation or "eager"
    try:
        bridge = build_bridge_from_module(hf, architecture=architecture, hf_config=hf.config, tokenizer=None)
    except ValueError as error:
        raise InputError(f"TransformerLens cannot open a {architecture} ({_first_line(error)}).") from error
    bridge.eval()
    # After bridging: GPT-2 and NeoX get fresh trainable query, key and value parameters by it.
    bridge.requires_grad_(False)
    if attention == "native":
        hf.set_attn_implementation(implementation)
        run_natively(bridge)
    return bridge
