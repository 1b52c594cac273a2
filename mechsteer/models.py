"""A language model opened through TransformerLens, with its tokenizer and the forward pass that everything measures."""

import hashlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from .errors import InputError
from .native import run_natively

Hook = tuple[str, Callable[..., Tensor | None]]

BUILT_IN = {"guestbook": Path(__file__).parent / "guestbook" / "model"}


@dataclass(frozen=True)
class TokenBatch:
    """Token ids with what the model must not read (padding) and which tokens are the completion."""

    tokens: Int[Tensor, "batch pos"]
    attention_mask: Bool[Tensor, "batch pos"]
    completion_mask: Bool[Tensor, "batch pos"]

    def to(self, device: torch.device | str) -> "TokenBatch":
        return TokenBatch(*(t.to(device) for t in (self.tokens, self.attention_mask, self.completion_mask)))


@dataclass(frozen=True, eq=False)
class Model:
    """A causal language model behind a `TransformerBridge`; hook names are TransformerLens's.

    Every forward passes the same hooks: by `logits`, by `generate`, or by calling `hf` itself.
    """

    bridge: TransformerBridge
    tokenizer: PreTrainedTokenizerBase | None
    name: str
    revision: str | None
    fingerprint: str
    own_hooks: frozenset[int]
    """Keys of the hooks that the bridge itself keeps on its modules; any other is a user's."""
    _reading: list[TokenBatch] = field(default_factory=list, repr=False)

    @property
    def hf(self) -> PreTrainedModel:
        """The Hugging Face model whose submodules the bridge has wrapped in place."""
        return cast(PreTrainedModel, self.bridge.original_model)

    @property
    def n_layers(self) -> int:
        return self.bridge.cfg.n_layers

    @property
    def d_model(self) -> int:
        return self.bridge.cfg.d_model

    @property
    def d_vocab(self) -> int:
        return self.bridge.cfg.d_vocab

    @property
    def has_layer_norm(self) -> bool:
        """Whether the norms subtract the mean (LayerNorm), so that the all-ones direction has no effect."""
        return self.bridge.cfg.normalization_type == "LN"

    @property
    def device(self) -> torch.device:
        """Where the token ids go in."""
        return cast(Tensor, self.hf.get_input_embeddings().weight).device

    @property
    def dtype(self) -> torch.dtype:
        return self.hf.dtype

    @property
    def batch(self) -> TokenBatch | None:
        """The batch that is being read, for hooks that must know which tokens are the completion."""
        return self._reading[-1] if self._reading else None

    @contextmanager
    def reading(self, batch: TokenBatch) -> Iterator[None]:
        """Say that forwards inside the block read `batch`, or what is generated after it."""
        self._reading.append(batch)
        try:
            yield
        finally:
            self._reading.pop()

    def check_length(self, n_tokens: int, what: str) -> None:
        """Raise one sentence if a text has more tokens than the model has positions for."""
        longest = getattr(self.hf.config.get_text_config(), "max_position_embeddings", None)
        if longest is not None and n_tokens > longest:
            raise InputError(f"{what} has {n_tokens} tokens, and {self.name} reads {longest} at most. Shorten it.")

    def require_tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer, or one sentence that asks for it."""
        if self.tokenizer is None:
            raise InputError(
                f"The model {self.name!r} has no tokenizer, and text was given. "
                "Pass load_model(..., tokenizer=...): a tokenizer, a hub name or a folder that holds one."
            )
        return self.tokenizer

    @cached_property
    def hook_points(self) -> dict[str, HookPoint]:
        """By name and by alias; the bridge puts this table together anew at every look, which takes a millisecond."""
        return self.bridge.hook_dict

    @contextmanager
    def hooks(self, hooks: Sequence[Hook]) -> Iterator[None]:
        """Each (name, function) runs at its hook point inside the block; it restores on leaving, errors included."""
        with ExitStack() as stack:
            for name, function in hooks:
                if name not in self.hook_points:
                    raise KeyError(f"The hook {name!r} does not exist on {self.name}.")
                point = self.hook_points[name]
                self.bridge.check_hooks_to_add(point, name, function)
                handle = point.add_hook(function)
                stack.callback(self.bridge._remove_temporary_hook, point, "fwd", handle)
            yield

    def logits(self, batch: TokenBatch, at: Bool[Tensor, "batch pos"] | None = None) -> Float[Tensor, "*rows d_vocab"]:
        """Next-token logits, `[batch pos d_vocab]`, or `[n d_vocab]` at the n positions named by `at`, row by row.

        With `at`, only those positions reach the unembedding: a full `[batch pos d_vocab]` tensor is never made.
        """
        batch = batch.to(self.device)
        hooks: list[Hook] = []
        if at is not None:
            at = at.to(self.device)
            hooks.append(("unembed.hook_in", lambda residual, hook: residual[at.to(residual.device)]))
        inputs = {"input_ids": batch.tokens, "attention_mask": batch.attention_mask.long(), "use_cache": False}
        if "position_ids" in inspect.signature(self.hf.forward).parameters:
            # Left padding must not shift positions. Right padding keeps 0, 1, 2, ...
            inputs["position_ids"] = (batch.attention_mask.long().cumsum(1) - 1).clamp(min=0)
        with self.reading(batch), self.hooks(hooks):
            return self.hf(**inputs).logits

    @property
    def padding_token(self) -> int:
        """Any id will do: padding is masked. The tokenizer's own, else its end token, else 0."""
        candidates = (getattr(self.tokenizer, "pad_token_id", None), getattr(self.tokenizer, "eos_token_id", None), 0)
        return next(token for token in candidates if token is not None)

    @property
    def bos_token(self) -> int | None:
        """The token that begins every text, which is never steered; None where the model has none."""
        if self.tokenizer is not None:
            return cast(int | None, self.tokenizer.bos_token_id)
        return getattr(self.hf.config, "bos_token_id", None)


def pad_batch(rows: Sequence[tuple[Sequence[int], int]], padding_token: int, side: str = "right") -> TokenBatch:
    """Rows of (token ids, index at which the completion begins) as one padded batch."""
    width = max(len(ids) for ids, _ in rows)
    tokens = torch.full((len(rows), width), padding_token)
    attention_mask = torch.zeros(len(rows), width, dtype=torch.bool)
    completion_mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for row, (ids, begin) in enumerate(rows):
        first = 0 if side == "right" else width - len(ids)
        tokens[row, first : first + len(ids)] = torch.tensor(ids)
        attention_mask[row, first : first + len(ids)] = True
        completion_mask[row, first + begin : first + len(ids)] = True
    return TokenBatch(tokens, attention_mask, completion_mask)


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
        asked, tokenizer = str(tokenizer), _load_tokenizer(str(tokenizer), from_pretrained)
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


def _load_tokenizer(source: str, options: dict[str, Any]) -> PreTrainedTokenizerBase | None:
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
