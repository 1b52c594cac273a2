"""A language model opened through TransformerLens, with its tokenizer and the forward pass that everything measures."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor
from transformer_lens.hook_points import HookPoint
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..brief import brief
from ..errors import InputError
from .hooks import BEFORE_UNEMBEDDING
from .identity import ModelReference, identify

CONTEXT_LENGTHS = (
    "max_position_embeddings", "n_positions", "n_ctx", "seq_length", "max_seq_len", "max_seq_length",
    "max_sequence_length", "max_target_positions", "context_length",
)  # fmt: skip
"""What configurations call the longest text that their model reads."""

Hook = tuple[str, Callable[..., Tensor | None]]


@dataclass(frozen=True)
class TokenBatch:
    """Token ids with what the model must not read (padding) and which tokens are the completion."""

    tokens: Int[Tensor, "batch pos"]
    attention_mask: Bool[Tensor, "batch pos"]
    completion_mask: Bool[Tensor, "batch pos"]
    row: int | None = None
    """Which one of a larger batch this is, where rows are read one at a time; a steer then knows the row's own multiplier."""

    __repr__ = brief

    def to(self, device: torch.device | str) -> "TokenBatch":
        return self._of(lambda tensor: tensor.to(device), self.row)

    def alone(self, row: int) -> "TokenBatch":
        """One row without its padding."""
        present = self.attention_mask[row]
        return self._of(lambda tensor: tensor[row][present][None], row)

    def _of(self, made: Callable[[Tensor], Tensor], row: int | None) -> "TokenBatch":
        return TokenBatch(made(self.tokens), made(self.attention_mask), made(self.completion_mask), row)


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

    def __repr__(self) -> str:
        kind = type(self.hf).__name__
        size = f"{self.n_layers} layers of width {self.d_model}"
        return f"Model({self.name!r}, {kind}, {size}, {str(self.dtype).removeprefix('torch.')} on {self.device})"

    @property
    def hf(self) -> PreTrainedModel:
        """The Hugging Face model whose submodules the bridge has wrapped in place."""
        return cast(PreTrainedModel, self.bridge.original_model)

    @cached_property
    def identity(self) -> ModelReference:
        """What decides the model's numbers, and what it is called."""
        return identify(self)

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
        return embedding(self.hf).device

    @property
    def dtype(self) -> torch.dtype:
        return self.hf.dtype

    @property
    def precision(self) -> str:
        """Its dtype, and by what it was quantised, if it was."""
        return self.identity.precision

    @property
    def batch(self) -> TokenBatch | None:
        """The batch that is being read, for hooks that must know which tokens are the completion."""
        return self._reading[-1] if self._reading else None

    @property
    def context_length(self) -> int | None:
        """How many tokens the longest text has that the model reads; None where it does not say."""
        config = self.hf.config.get_text_config()
        return next((n for name in CONTEXT_LENGTHS if isinstance(n := getattr(config, name, None), int)), None)

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
        longest = self.context_length
        if longest is not None and n_tokens > longest:
            raise InputError(f"{what} has {n_tokens} tokens, and {self.name} reads {longest} at most. Shorten it.")

    def check_finite(self, values: Tensor | ndarray, what: str) -> None:
        """Raise one sentence if the model, without a steer, gives what is no number, or is infinite."""
        if not torch.as_tensor(values).isfinite().all():
            raise InputError(
                f"Without a steer, {self.name} in {str(self.dtype)[6:]} has {what} that are not finite. "
                "Try another dtype, such as float32; else its weights are damaged."
            )

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
            hooks.append((BEFORE_UNEMBEDDING, lambda residual, hook: residual[at.to(residual.device)]))
        inputs = {"input_ids": batch.tokens, "attention_mask": batch.attention_mask.long(), "use_cache": False}
        if "position_ids" in inspect.signature(self.hf.forward).parameters:
            # Left padding must not shift positions. Right padding keeps 0, 1, 2, ...
            inputs["position_ids"] = (batch.attention_mask.long().cumsum(1) - 1).clamp(min=0)
        with self.reading(batch), self.hooks(hooks):
            return self.hf(**inputs).logits

    @property
    def padding_token(self) -> int:
        """Any id that the model has will do: padding is masked. The tokenizer's own, else its end token, else 0."""
        candidates = (getattr(self.tokenizer, "pad_token_id", None), getattr(self.tokenizer, "eos_token_id", None), 0)
        return next(token for token in candidates if token is not None and token < len(embedding(self.hf)))

    @property
    def bos_token(self) -> int | None:
        """The token that begins every text, which is never steered; None where the model has none."""
        if self.tokenizer is not None:
            return cast(int | None, self.tokenizer.bos_token_id)
        return getattr(self.hf.config, "bos_token_id", None)


def embedding(hf: PreTrainedModel) -> Float[Tensor, "d_vocab d_model"]:
    """A row for each token that a model knows."""
    return cast(Tensor, hf.get_input_embeddings().weight)


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
