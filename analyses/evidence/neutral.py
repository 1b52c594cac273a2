"""Neutral text: plain sentences of ours about nothing that anybody steers to, and what a model makes of text."""

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
    """The first so many, or all."""
    return FILE.read_text(encoding="utf-8").splitlines()[:n]


def readable(model: ms.Model, texts: Sequence[str]) -> list[tuple[int, ...]]:
    """The texts as tokens, without those of a single token and those that have words which the model does not know; a small
    language knows none of ours."""
    found = []
    for text in texts:
        with suppress(ms.InputError):
            found.append(tuple(encode_prompt(model, text, "raw")))
    return [ids for ids in found if len(ids) > 1]


@torch.no_grad()
def log_probabilities(model: ms.Model, batch: TokenBatch) -> Float[Tensor, "rows pos d_vocab"]:
    """Of the token after each, as the model is steered now."""
    return model.logits(batch).double().log_softmax(dim=-1)


def loss_per_token(of_next: Float[Tensor, "rows pos d_vocab"], batch: TokenBatch) -> Float[Tensor, " rows"]:
    """Mean over the tokens of the completion, in nats."""
    of_token = of_next[:, :-1].gather(2, batch.tokens[:, 1:, None])[..., 0]
    counted = batch.completion_mask[:, 1:]
    return -(of_token * counted).sum(dim=1) / counted.sum(dim=1)
