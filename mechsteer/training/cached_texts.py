"""The texts of pairs with the residual that enters the steered block: what no training step has to compute again."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..interventions import Intervention
from ..losses import batches, completion_losses, pair_texts
from ..models import Model, pad_batch
from ..prompts import EncodedPair
from ..resume import residual_entering, resumed
from ..sites import Site
from ..steering import steer
from .objectives import BatchLosses


@dataclass(frozen=True, eq=False)
class CachedTexts:
    """All positive texts, then all negative ones, with their residuals and their losses under the unsteered model."""

    model: Model
    layer: int
    texts: list[tuple[tuple[int, ...], int]]
    residuals: list[Float[Tensor, "_ d_model"]]
    base: Float[Tensor, " texts"]

    @classmethod
    @torch.no_grad()
    def read(cls, model: Model, pairs: Sequence[EncodedPair], layer: int) -> "CachedTexts":
        texts = pair_texts(pairs)
        residuals: list[Tensor] = [torch.empty(0)] * len(texts)
        base = torch.zeros(len(texts), dtype=torch.float64)
        for item in batches(texts, 32, model.padding_token):
            residual = residual_entering(model, layer, item.batch)
            with resumed(model, layer, residual):
                losses, _ = completion_losses(model, item.batch)
            base[list(item.rows)] = losses.cpu()
            for row, values in zip(item.rows, residual, strict=True):
                residuals[row] = values[: len(texts[row][0])].clone()
        return cls(model, layer, texts, residuals, base)

    @property
    def n_pairs(self) -> int:
        return len(self.texts) // 2

    @contextmanager
    def losses(
        self,
        intervention: Intervention,
        pairs: Int[Tensor, " pairs"],
        multipliers: Float[Tensor, " pairs"],
        positions: str,
        *,
        nulls_out: bool,
    ) -> Iterator[BatchLosses]:
        """Losses of these pairs' winners and losers, each pair under its own signed multiplier.

        The backward pass belongs inside the block: with gradient checkpointing it runs the blocks, and their hooks, again.
        """
        wins = torch.where(multipliers > 0, pairs, pairs + self.n_pairs)
        loses = torch.where(multipliers > 0, pairs + self.n_pairs, pairs)
        rows = torch.cat([wins, loses]).tolist()
        batch = pad_batch([self.texts[row] for row in rows], self.model.padding_token)
        residual = nn.utils.rnn.pad_sequence([self.residuals[row] for row in rows], batch_first=True)
        m = torch.cat([multipliers, multipliers]).float()
        null_out = m < 0 if nulls_out else None
        with (
            resumed(self.model, self.layer, residual),
            steer(self.model, intervention, m, positions, null_out=null_out),
        ):
            losses, n_tokens = completion_losses(self.model, batch)
            base = self.base.to(losses.device)[rows]
            yield BatchLosses(*(half for values in (losses, n_tokens, base) for half in values.chunk(2)))

    @torch.no_grad()
    def sizes(self, site: Site) -> tuple[float, float]:
        """Root mean squares of h and of the value that is shifted, over completion tokens of at most 32 texts."""
        sums, counts = [0.0, 0.0], [0, 0]
        for row in range(min(32, len(self.texts))):
            batch = pad_batch([self.texts[row]], self.model.padding_token)
            where = batch.completion_mask

            def look(h: Tensor, value: Tensor, where: Tensor = where) -> None:
                for index, tensor in enumerate((h, value)):
                    kept = tensor[where.to(tensor.device)].double()
                    sums[index] += float((kept**2).sum())
                    counts[index] += kept.numel()

            with resumed(self.model, self.layer, self.residuals[row][None]), self.model.hooks(site.hooks(look)):
                self.model.logits(batch, at=torch.zeros_like(where))
        size_in, size_out = (math.sqrt(total / count) for total, count in zip(sums, counts, strict=True))
        return size_in, size_out
