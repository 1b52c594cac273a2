"""The pairs that are learned from, with what no training step has to compute again."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..engine import Engine, Prefix, batches_of_pairs, default_batch_tokens, engine_for
from ..engine.losses import batches
from ..interventions import Intervention, SteeringVector
from ..models.model import Model
from ..models.prompts import EncodedPair
from ..models.sites import Site
from .objectives.base import BatchLosses


@dataclass(frozen=True, eq=False)
class Teaching:
    """Encoded pairs, what leads to the first site in each, and their losses under the unsteered model."""

    engine: Engine
    pairs: Sequence[EncodedPair]
    prefixes: list[Prefix] | None
    base: Float[Tensor, "2 pairs"]
    n_tokens: Int[Tensor, "2 pairs"]

    @classmethod
    @torch.no_grad()
    def read(cls, model: Model, pairs: Sequence[EncodedPair], intervention: Intervention) -> "Teaching":
        engine, site = engine_for(model, intervention, pairs), intervention.sites[0]
        unsteered = SteeringVector(site, torch.zeros(site.widths(model)[1]))
        base = torch.zeros(2, len(pairs), dtype=torch.float64)
        for some in batches_of_pairs(pairs, default_batch_tokens(model)):
            losses, _ = engine.sweep(unsteered, [pairs[index] for index in some], np.zeros(1), "all")
            base[:, some] = torch.from_numpy(losses[0])
        model.check_finite(base, "losses")
        counts = [[len(pair.positive) - pair.begin, len(pair.negative) - pair.begin] for pair in pairs]
        return cls(engine, pairs, engine.prefixes(pairs, site), base, torch.tensor(counts).T)

    def batches(self, chosen: Int[Tensor, " pairs"]) -> Iterator[list[int]]:
        """Indices into `chosen`, in batches that fit a forward."""
        room = default_batch_tokens(self.engine.model, with_gradients=True)
        return batches_of_pairs([self.pairs[index] for index in chosen.tolist()], room)

    @contextmanager
    def losses(
        self,
        intervention: Intervention,
        chosen: Int[Tensor, " pairs"],
        multipliers: Float[Tensor, " pairs"],
        positions: str,
    ) -> Iterator[BatchLosses]:
        """Losses of these pairs' winners and losers, each pair under its own signed multiplier.

        The backward pass belongs inside the block: with gradient checkpointing it runs the blocks, and their hooks, again.
        """
        indices = chosen.tolist()
        prefixes = None if self.prefixes is None else [self.prefixes[index] for index in indices]
        pairs = [self.pairs[index] for index in indices]
        with self.engine.losses(intervention, pairs, multipliers, positions, prefixes=prefixes) as losses:
            yield _by_role(losses, self.n_tokens[:, chosen], self.base[:, chosen], (multipliers < 0).to(losses.device))


def _by_role(
    losses: Float[Tensor, "2 pairs"],
    n_tokens: Int[Tensor, "2 pairs"],
    base: Float[Tensor, "2 pairs"],
    swapped: Bool[Tensor, " pairs"],
) -> BatchLosses:
    """Winner and loser, from positive and negative, which change roles where the multiplier is negative."""
    both = []
    for values in (losses, n_tokens.to(losses.device), base.to(losses.device)):
        both += [torch.where(swapped, values[1], values[0]), torch.where(swapped, values[0], values[1])]
    return BatchLosses(*both)


@torch.no_grad()
def sizes_at(model: Model, pairs: Sequence[EncodedPair], site: Site, n_texts: int = 32) -> tuple[float, float]:
    """Root mean squares of h and of the value that is shifted, over completion tokens of some positive texts."""
    sums, counts = [0.0, 0.0], [0, 0]
    texts = [(pair.positive, pair.begin) for pair in pairs[:n_texts]]
    for item in batches(texts, n_texts, model.padding_token):
        where = item.batch.completion_mask

        def look(h: Tensor, value: Tensor, where: Tensor = where) -> None:
            for index, tensor in enumerate((h, value)):
                kept = tensor[where.to(tensor.device)].double()
                sums[index] += float((kept**2).sum())
                counts[index] += kept.numel()

        with model.hooks(site.hooks(look)):
            model.logits(item.batch, at=torch.zeros_like(where))
    size_in, size_out = (math.sqrt(total / count) for total, count in zip(sums, counts, strict=True))
    return size_in, size_out
