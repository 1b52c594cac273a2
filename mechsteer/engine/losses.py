"""Losses of completions: negative log-likelihood in nats, summed over a completion's tokens.

The query's tokens and padding do not count. This is the plain path: every text whole, one forward for each batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from ..models.model import Model, TokenBatch, pad_batch
from ..models.prompts import EncodedPair


@dataclass(frozen=True)
class TextBatch:
    """A padded batch of texts, with each row's place in the list of texts."""

    batch: TokenBatch
    rows: tuple[int, ...]


def pair_texts(pairs: Sequence[EncodedPair]) -> list[tuple[tuple[int, ...], int]]:
    """The positive texts of all pairs, then the negative ones, as (token ids, index at which the completion begins)."""
    sides = zip(*((zip(pair.texts, pair.begins, strict=True)) for pair in pairs), strict=True)
    return [text for side in sides for text in side]


def batches(
    texts: Sequence[tuple[Sequence[int], int]], batch_size: int, padding_token: int, side: str = "right"
) -> Iterator[TextBatch]:
    """The texts in batches of like length, longest first, so that little is spent on padding."""
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row][0]))
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        yield TextBatch(pad_batch([texts[row] for row in rows], padding_token, side), tuple(rows))


@torch.no_grad()
def unsteered_losses(model: Model, pairs: Sequence[EncodedPair], batch_size: int = 16) -> Float[ndarray, "2 pairs"]:
    """Losses of positive and negative completions, as the model is."""
    texts = pair_texts(pairs)
    losses = np.zeros(len(texts))
    for some in batches(texts, batch_size, model.padding_token):
        losses[list(some.rows)] = completion_losses(model, some.batch)[0].cpu().numpy()
    model.check_finite(losses, "losses")
    return losses.reshape(2, -1)


def completion_losses(model: Model, batch: TokenBatch) -> tuple[Float[Tensor, " batch"], Int[Tensor, " batch"]]:
    """The loss of each row's completion (nats, float64) and its number of tokens; gradients pass through."""
    predicted = batch.completion_mask.to(model.device)
    # The logits at a position speak of the token after it.
    predicting = predicted.roll(-1, dims=1)
    tokens = batch.tokens.to(model.device)[predicted]
    logits = model.logits(batch, at=predicting)
    nll = torch.nn.functional.cross_entropy(logits.float(), tokens.to(logits.device), reduction="none").double()
    row = predicted.nonzero()[:, 0].to(nll.device)
    losses = torch.zeros(len(predicted), dtype=nll.dtype, device=nll.device).index_add(0, row, nll)
    return losses, predicted.sum(dim=1).to(losses.device)
