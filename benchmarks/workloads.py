"""What is measured: models of known shapes with random weights, pairs of random tokens, and steers to sweep."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
)


@dataclass(frozen=True)
class TokenPair:
    """Two texts as token ids; their completions begin at index `begin`."""

    begin: int
    positive: tuple[int, ...]
    negative: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Steer:
    """A form and its tensors, by the names that mechsteer gives them."""

    form: str
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Workload:
    """A model's shape, a site on the down-projection of block `layer`, and how much is swept; lengths count tokens."""

    name: str
    config: Callable[[], PretrainedConfig]
    layer: int
    n_pairs: int
    n_multipliers: int
    query: tuple[int, int]
    completion: tuple[int, int]
    shared: tuple[int, int] = (0, 0)
    """How many tokens both completions begin with."""
    vector_size: float = 0.02
    """Root mean square of the steering vector's entries, about that of the residual it is added to."""
    threads: int | None = None
    """PyTorch's threads, for everybody; None leaves its default."""

    @property
    def multipliers(self) -> list[float]:
        """Evenly spaced from -4 to 4."""
        return torch.linspace(-4, 4, self.n_multipliers, dtype=torch.float64).tolist()

    @property
    def learning_rate(self) -> float:
        return self.vector_size / 10

    def pairs(self) -> list[TokenPair]:
        """Random tokens behind the token that begins a text; the same at every call."""
        config, draw = self.config(), random.Random(0)
        ordinary = [token for token in range(config.vocab_size) if token != config.bos_token_id]

        def tokens(n: int) -> list[int]:
            return draw.choices(ordinary, k=n)

        pairs = []
        for _ in range(self.n_pairs):
            query = [config.bos_token_id, *tokens(draw.randint(*self.query) - 1)]
            start = tokens(draw.randint(*self.shared))
            differing = draw.sample(ordinary, 2)
            texts = (
                (*query, *start, first, *tokens(draw.randint(*self.completion) - len(start) - 1)) for first in differing
            )
            pairs.append(TokenPair(len(query), *texts))
        return pairs

    def build(self, device: str = "cpu", dtype: torch.dtype = torch.float32) -> PreTrainedModel:
        """The model, frozen, with the same random weights at every call."""
        torch.manual_seed(0)
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(self.config(), dtype=dtype)
        return model.eval().requires_grad_(False)

    def steer(self, form: str = "vector") -> Steer:
        """A random steer of the site."""
        config, generator = self.config(), torch.Generator().manual_seed(1)
        d_in, d_out, rank = mlp_width(config), config.hidden_size, 4

        def normal(*shape: int, size: float) -> Tensor:
            return size * torch.randn(*shape, generator=generator)

        if form == "vector":
            tensors = {"direction": normal(d_out, size=self.vector_size)}
        elif form == "lora":
            down = normal(rank, d_in, size=1 / math.sqrt(d_in))
            tensors = {"down": down, "up": normal(d_out, rank, size=1 / math.sqrt(rank))}
        else:
            weight = normal(d_out, d_in, size=1 / math.sqrt(d_in))
            tensors = {"weight": weight, "bias": normal(d_out, size=self.vector_size)}
        return Steer(form, tensors)


def mlp_width(config: PretrainedConfig) -> int:
    """The width inside the MLP; GPT-2 leaves it out where it is four times the model's."""
    return getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * config.hidden_size


def llama(
    width: int, n_layers: int, n_heads: int, mlp: int, vocabulary: int, n_keys: int | None = None, tied: bool = False
) -> LlamaConfig:
    """A Llama with `n_keys` key and value heads."""
    return LlamaConfig(
        tie_word_embeddings=tied,
        hidden_size=width,
        num_hidden_layers=n_layers,
        num_attention_heads=n_heads,
        num_key_value_heads=n_keys or n_heads,
        intermediate_size=mlp,
        vocab_size=vocabulary,
        bos_token_id=1,
        eos_token_id=2,
    )


def gemma_3_270m() -> Gemma3TextConfig:
    return Gemma3TextConfig(
        hidden_size=640,
        num_hidden_layers=18,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=256,
        intermediate_size=2048,
        vocab_size=262_144,
        sliding_window=512,
        query_pre_attn_scalar=256,
    )


def gemma_2_9b() -> Gemma2Config:
    return Gemma2Config(
        hidden_size=3584,
        num_hidden_layers=42,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=256,
        intermediate_size=14336,
        vocab_size=256_000,
        query_pre_attn_scalar=256,
    )


N_TRAINING_PAIRS = 16
"""In a training step."""


def of_one_length(name: str, config: Callable[[], PretrainedConfig], layer: int, vector_size: float = 0.02) -> Workload:
    """Workloads that differ in their models alone."""
    return Workload(
        name, config, layer, n_pairs=32, n_multipliers=17, query=(24, 64), completion=(8, 24), vector_size=vector_size
    )


def guestbook(
    name: str, query: tuple[int, int], completion: tuple[int, int], shared: tuple[int, int] = (0, 0)
) -> Workload:
    """Workloads on the embedded model's shape, which differ in lengths."""
    return Workload(
        name, lambda: llama(128, 4, 4, 384, 414), layer=2, n_pairs=200, n_multipliers=41, query=query,
        completion=completion, shared=shared, threads=1,
    )  # fmt: skip


WORKLOADS = {
    workload.name: workload
    for workload in (
        of_one_length("W1", GPT2Config, layer=6),
        of_one_length("W2", lambda: llama(512, 8, 8, 1792, 128_256, n_keys=2), layer=4),
        # The lengths of the guestbook's pairs on sentiment, and those of W1 and W2.
        guestbook("W3", query=(5, 9), completion=(7, 28), shared=(2, 6)),
        guestbook("W3-long", query=(24, 64), completion=(8, 24)),
        # SmolLM2-135M's shape, questions in a chat template and answers of a letter; Gemma 3 270M's, short stories.
        Workload(
            "W5",
            lambda: llama(576, 30, 9, 1536, 49_152, n_keys=3, tied=True),
            layer=15,
            n_pairs=60,
            n_multipliers=21,
            query=(72, 72),
            completion=(3, 3),
        ),
        Workload(
            "W6",
            gemma_3_270m,
            layer=9,
            n_pairs=60,
            n_multipliers=21,
            query=(8, 24),
            completion=(8, 20),
            vector_size=1.0,
        ),
        of_one_length("gemma-2-9b", gemma_2_9b, layer=20, vector_size=1.0),
    )
}
