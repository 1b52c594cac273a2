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
TOKENS = 16
"""Looked at together: over all at once, a table of 262,144 tokens in double precision spends its time on memory."""


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


@torch.no_grad()
def predictions(model: ms.Model, batch: TokenBatch) -> Float[Tensor, "n d_vocab"]:
    """Logits of every token of the completions, row by row, under the current steer."""
    return model.logits(batch, at=batch.completion_mask.roll(-1, dims=1))


def departure(
    usual: Float[Tensor, "n d_vocab"], now: Float[Tensor, "n d_vocab"], batch: TokenBatch
) -> tuple[float, float]:
    """How much is lost from usual log-probabilities to these logits: in loss per token, a mean over texts, and as the divergence
    of the output, a mean over tokens (both in nats). A large vocabulary is looked at few tokens at a time."""
    row = batch.completion_mask.nonzero()[:, 0]
    lost, divergence = [], []
    for before, logits, target in zip(
        *(part.split(TOKENS) for part in (usual, now, batch.tokens[batch.completion_mask])), strict=True
    ):
        fallen = before - logits.double().log_softmax(dim=-1)
        lost.append(fallen.gather(1, target[:, None])[:, 0])
        divergence.append(fallen.mul_(before.exp()).sum(dim=-1))
    of_texts = torch.zeros(len(batch.tokens), dtype=torch.float64, device=row.device).index_add(0, row, torch.cat(lost))
    return float((of_texts / row.bincount(minlength=len(of_texts))).mean()), float(torch.cat(divergence).mean())
