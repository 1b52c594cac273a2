"""Neutral text: plain sentences on topics that nobody steers towards, and a model's loss on text."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

import mechsteer as ms
from mechsteer.models.model import TokenBatch
from mechsteer.models.prompts import encode_prompt

FILE = Path(__file__).with_name("neutral.txt")


def neutral_texts(n: int | None = None) -> list[str]:
    """The first n texts, or all."""
    return FILE.read_text(encoding="utf-8").splitlines()[:n]


def readable(model: ms.Model, texts: Sequence[str]) -> list[tuple[int, ...]]:
    """The texts as tokens, without single-token texts and texts with words that the model does not know. A small language may
    leave none."""
    found = []
    for text in texts:
        with suppress(ms.InputError):
            found.append(tuple(encode_prompt(model, text, "raw")))
    return [ids for ids in found if len(ids) > 1]


@torch.no_grad()
def log_probabilities(model: ms.Model, batch: TokenBatch) -> Float[Tensor, "rows pos d_vocab"]:
    """Log-probabilities of the next token at each position, under the current steer."""
    return model.logits(batch).double().log_softmax(dim=-1)


def loss_per_token(of_next: Float[Tensor, "rows pos d_vocab"], batch: TokenBatch) -> Float[Tensor, " rows"]:
    """Mean over the tokens of the completion, in nats."""
    of_token = of_next[:, :-1].gather(2, batch.tokens[:, 1:, None])[..., 0]
    counted = batch.completion_mask[:, 1:]
    return -(of_token * counted).sum(dim=1) / counted.sum(dim=1)
