"""Which tokens are steered: the one rule, for texts, for rows that hold both texts of a pair, and for what is generated."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ..errors import InputError
from .model import TokenBatch
from .sites import POSITIONS


def steered(
    positions: str,
    *,
    present: Bool[Tensor, "batch pos"],
    begins: Bool[Tensor, "batch pos"],
    is_completion: Bool[Tensor, "batch pos"],
) -> Bool[Tensor, "batch pos"]:
    """The tokens that "all", "completion", "query" or "every" mean.

    "all" is every token that is no padding, but for BOS where it `begins` a text, as in the paper; "completion" is of these
    the completion's own tokens or those generated, and "query" the rest. "every" is BOS too, as edited weights and other programs
    have it.
    """
    if positions not in POSITIONS:
        raise InputError(f"The `positions` {positions!r} are unknown. Choose {', '.join(POSITIONS)}.")
    all_but_bos = present & ~begins
    return {
        "all": all_but_bos,
        "completion": all_but_bos & is_completion,
        "query": all_but_bos & ~is_completion,
        "every": present,
    }[positions]


def begins_with(
    bos_token: int | None, tokens: Int[Tensor, "batch pos"], is_first: Bool[Tensor, "batch pos"]
) -> Bool[Tensor, "batch pos"]:
    """Where a text begins with BOS; `is_first` marks each text's first token."""
    return is_first & (tokens == bos_token) if bos_token is not None else torch.zeros_like(is_first)


def steered_in(batch: TokenBatch, positions: str, bos_token: int | None) -> Bool[Tensor, "batch pos"]:
    """The same in a batch of whole texts, padded on either side."""
    present = batch.attention_mask
    is_first = present & (present.cumsum(1) == 1)
    begins = begins_with(bos_token, batch.tokens, is_first)
    return steered(positions, present=present, begins=begins, is_completion=batch.completion_mask)
