"""The arithmetic floor: the products that no program can leave out, at the rate at which this machine multiplies.

Counted are products with weights, products inside attention, and the unembedding; a multiply-add is two operations. Norms,
softmax and whatever moves data are not, so nothing reaches the floor.

- A token counts once for each pair, however many of the pair's texts begin with it. The last token of a text predicts
  nothing and does not count.
- What a shift of the down-projection's output in block L cannot change counts once for the whole sweep: blocks 0 to L, the
  token that begins a text, and the query where completions alone are steered.
- All else counts once for each multiplier. In the last block, tokens that predict no completion need keys and values alone.
- The unembedding counts at positions that predict a completion.
"""

import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from clock import seconds
from transformers import PretrainedConfig
from workloads import TokenPair, mlp_width


@dataclass(frozen=True)
class Work:
    """Floating-point operations by kind."""

    weights: float = 0.0
    attention: float = 0.0
    unembedding: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.weights + other.weights, self.attention + other.attention, self.unembedding + other.unembedding
        )

    def __rmul__(self, times: float) -> "Work":
        return Work(times * self.weights, times * self.attention, times * self.unembedding)

    @property
    def with_gradients(self) -> "Work":
        """A step through frozen weights: gradients of inputs alone, but of both factors inside attention."""
        return Work(2 * self.weights, 3 * self.attention, 2 * self.unembedding)

    @property
    def total(self) -> float:
        return self.weights + self.attention + self.unembedding


@dataclass(frozen=True)
class Shape:
    """The widths of a model's matrices."""

    n_layers: int
    d_model: int
    d_queries: int
    d_keys: int
    d_mlp: int
    n_mlp_matrices: int
    d_vocab: int

    @classmethod
    def of(cls, config: PretrainedConfig) -> "Shape":
        n_heads = config.num_attention_heads
        d_head = getattr(config, "head_dim", None) or config.hidden_size // n_heads
        n_keys = getattr(config, "num_key_value_heads", None) or n_heads
        return cls(
            config.num_hidden_layers, config.hidden_size, n_heads * d_head, n_keys * d_head, mlp_width(config),
            2 if config.model_type == "gpt2" else 3, config.vocab_size,
        )  # fmt: skip

    @property
    def keys_and_values(self) -> Work:
        """One token's, in one block."""
        return Work(weights=2 * self.d_model * 2 * self.d_keys)

    def block(self, n_read: int) -> Work:
        """One token in one block, where it reads `n_read` tokens."""
        mlp = self.n_mlp_matrices * self.d_model * self.d_mlp
        weights = 2 * (2 * self.d_model * self.d_queries + mlp)
        return self.keys_and_values + Work(weights=weights, attention=4 * n_read * self.d_queries)

    def blocks(self, first: int, end: int, n_read: int, predicts: bool) -> Work:
        """One token in blocks `first` to `end` - 1."""
        if first >= end:
            return Work()
        last = self.block(n_read) if predicts or end < self.n_layers else self.keys_and_values
        return (end - first - 1) * self.block(n_read) + last

    @property
    def logits(self) -> Work:
        """At one position."""
        return Work(unembedding=2 * self.d_model * self.d_vocab)

    def delta(self, form: str) -> Work:
        """The shift of one token at multiplier one; a LoRA has rank 4."""
        products = {"vector": 0, "lora": 4 * (self.d_mlp + self.d_model), "local_weight": self.d_mlp * self.d_model}
        return Work(weights=2 * products[form])


@dataclass(frozen=True)
class Token:
    """A token of a pair: how many tokens it reads, itself included, and what depends on it."""

    n_read: int
    predicts: bool
    is_steered: bool


def tokens_of(pair: TokenPair, positions: str) -> Iterator[Token]:
    """The tokens of both texts, those of their common beginning once."""
    n_shared = len(os.path.commonprefix([pair.positive, pair.negative]))
    first_steered = {"all": 1, "completion": pair.begin}[positions]
    for text, start in ((pair.positive, 0), (pair.negative, n_shared)):
        for index in range(start, len(text) - 1):
            yield Token(index + 1, predicts=index >= pair.begin - 1, is_steered=index >= first_steered)


def sweep_work(
    shape: Shape,
    pairs: Sequence[TokenPair],
    layer: int,
    n_multipliers: int,
    positions: str = "all",
    form: str = "vector",
) -> Work:
    """What a sweep cannot leave out."""
    once, each = Work(), Work()
    for pair in pairs:
        for token in tokens_of(pair, positions):
            above = shape.blocks(layer + 1, shape.n_layers, token.n_read, token.predicts)
            above += shape.logits if token.predicts else Work()
            once += shape.blocks(0, layer + 1, token.n_read, token.predicts)
            if token.is_steered:
                once += shape.delta(form)
                each += above
            else:
                once += above
    return once + n_multipliers * each


def step_work(shape: Shape, pairs: Sequence[TokenPair], layer: int) -> Work:
    """What a training step cannot leave out, each pair under its own multiplier: forward, and gradients of the steer."""
    work = Work()
    for pair in pairs:
        for token in tokens_of(pair, "all"):
            if token.is_steered:
                work += shape.blocks(layer + 1, shape.n_layers, token.n_read, token.predicts)
                work += shape.logits if token.predicts else Work()
    return work.with_gradients


@dataclass(frozen=True)
class Rates:
    """Floating-point operations a second, by matrices of a block and by the unembedding."""

    block: float
    unembedding: float

    @classmethod
    def measure(cls, shape: Shape, device: str, dtype: torch.dtype) -> "Rates":
        n_tokens = 1024 if device == "cpu" else 8192
        block = [(shape.d_model, shape.d_queries), (shape.d_model, shape.d_mlp), (shape.d_mlp, shape.d_model)]
        unembedding = [(shape.d_model, shape.d_vocab)]
        return cls(*(_rate(n_tokens, matrices, device, dtype) for matrices in (block, unembedding)))

    def seconds(self, work: Work) -> float:
        return (work.weights + work.attention) / self.block + work.unembedding / self.unembedding


def _rate(n_tokens: int, matrices: Sequence[tuple[int, int]], device: str, dtype: torch.dtype) -> float:
    """The rate over one pass through these matrices, median of five."""

    def matrix(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=device, dtype=dtype)

    # Into memory that is there already: to take new memory is no arithmetic.
    products = [
        (matrix(n_tokens, d_in), matrix(d_in, d_out), torch.zeros(n_tokens, d_out, device=device, dtype=dtype))
        for d_in, d_out in matrices
    ]

    def multiply() -> None:
        for left, right, out in products:
            torch.mm(left, right, out=out)

    multiply()
    n_operations = sum(2 * n_tokens * d_in * d_out for d_in, d_out in matrices)
    return n_operations / statistics.median(seconds(multiply, device) for _ in range(5))
