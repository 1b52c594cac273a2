"""The fast engine multiplies little more than the floor that its benchmarks hold it against."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_intervention
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

import mechsteer as ms
from mechsteer.engine import Engine, Fast, Plain, engine_for
from mechsteer.models.prompts import EncodedPair

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from floor import Shape, sweep_work  # noqa: E402
from workloads import TokenPair  # noqa: E402

GPT2 = GPT2Config(n_embd=64, n_layer=6, n_head=4, vocab_size=997, n_positions=64, bos_token_id=0)
LLAMA = LlamaConfig(
    hidden_size=64, num_hidden_layers=6, num_attention_heads=4, num_key_value_heads=2, intermediate_size=192,
    vocab_size=997, bos_token_id=0,
)  # fmt: skip


def products(engine: Engine, steer: ms.Intervention, pairs: list[EncodedPair], n: int, positions: str) -> float:
    """Operations in products with weights by a sweep of n multipliers."""
    with FlopCounterMode(display=False) as counter:
        engine.sweep(steer, pairs, np.linspace(-1, 1, n), positions)
    counts = counter.get_flop_counts()["Global"]
    return sum(counts.get(kind, 0) for kind in (torch.ops.aten.mm, torch.ops.aten.addmm))


@pytest.mark.slow
@pytest.mark.parametrize("positions", ["all", "completion"])
@pytest.mark.parametrize("config", [GPT2, LLAMA], ids=["gpt2", "llama"])
def test_a_multiplier_costs_little_more_than_the_arithmetic_that_depends_on_it(config, positions):
    """Rows of one length, so that there is no padding. What is more: the token that begins a text, and the last block's
    queries and outputs of attention where nothing is predicted. Plain texts cost several times as much."""
    torch.manual_seed(0)
    model = ms.load_model(AutoModelForCausalLM.from_config(config), device="cpu")
    draw = np.random.default_rng(0)
    pairs = []
    for index in range(4):
        query, *completions = (draw.integers(1, 997, n).tolist() for n in (16, 8, 8))
        pairs.append(EncodedPair(str(index), 17, *((0, *query, *completion) for completion in completions)))
    site = ms.Site(2, "mlp.out")
    steer = random_intervention("vector", site, model)
    floors = [
        sweep_work(Shape.of(config), [TokenPair(17, pair.positive, pair.negative) for pair in pairs], 2, n, positions)
        for n in (2, 6)
    ]
    floor = sum(sign * (work.weights + work.unembedding) for sign, work in zip((-1, 1), floors, strict=True))
    fast = engine_for(model, steer, pairs)
    assert isinstance(fast, Fast)
    ours, whole = (
        products(engine, steer, pairs, 6, positions) - products(engine, steer, pairs, 2, positions)
        for engine in (fast, Plain(model))
    )
    assert floor <= ours <= 1.1 * floor
    assert whole > 3 * floor
