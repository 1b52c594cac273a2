"""The pairs that are learned from, with what no training step has to compute again."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from ..engine import Engine, Prefix, batches_of_pairs, default_batch_tokens, engine_for
from ..engine.losses import batches
from ..interventions import Intervention, SteeringVector
from ..models.model import Model
from ..models.prompts import EncodedPair
from ..models.sites import Site
from .objectives.base import BatchLosses
from .recipes.base import Recipe


@dataclass(frozen=True, eq=False)
class Teaching:
    """Encoded pairs, what leads to the first site in each, and their losses under the unsteered model."""

    recipe: Recipe
    engine: Engine
    pairs: Sequence[EncodedPair]
    prefixes: list[Prefix] | None
    base: Float[Tensor, "2 pairs"]
    n_tokens: Int[Tensor, "2 pairs"]

    @classmethod
    @torch.no_grad()
    def read(
        cls,
        model: Model,
        pairs: Sequence[EncodedPair],
        intervention: Intervention,
        recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
    ) -> "Teaching":
        engine, site = engine_for(model, intervention, pairs), intervention.sites[0]
        base = engine.kept(("losses", site, tuple(pairs)), lambda: _losses(engine, pairs, site), lambda new: new.nbytes)
        model.check_finite(base, "losses")
        counts = [tuple(map(len, pair.texts)) if recipe.prompt_lengths else pair.counts for pair in pairs]
        return cls(recipe, engine, pairs, engine.prefixes(pairs, site), base, torch.tensor(counts).T)

    def batches(self, chosen: Int[Tensor, " pairs"]) -> Iterator[list[int]]:
        """Indices into `chosen`, in batches that fit a forward; or, where a mean is the batch's, in these batches."""
        if self.recipe.batch_means:
            yield from (some.tolist() for some in torch.arange(len(chosen)).split(self.recipe.batch_size))
            return
        # The objective is a mean over pairs, so pairs of like length go together and few lie in memory at once.
        room = default_batch_tokens(self.engine.model, with_gradients=True) // (1 + self.recipe.independent_multipliers)
        yield from batches_of_pairs([self.pairs[index] for index in chosen.tolist()], room)

    @contextmanager
    def losses(
        self,
        intervention: Intervention,
        chosen: Int[Tensor, " pairs"],
        multipliers: Float[Tensor, "2 pairs"],
        positions: str,
    ) -> Iterator[BatchLosses]:
        """Losses of these pairs' winners and losers, each under its own signed multiplier.

        The backward pass belongs inside the block: with gradient checkpointing it runs the blocks, and their hooks, again.
        """
        # Both texts of a pair are read under one multiplier; where they have two, the pair is read twice.
        times = 1 if torch.equal(*multipliers) else 2
        indices = chosen.tolist() * times
        prefixes = None if self.prefixes is None else [self.prefixes[index] for index in indices]
        pairs = [self.pairs[index] for index in indices]
        each = multipliers[:times].flatten()
        with self.engine.losses(intervention, pairs, each, positions, prefixes=prefixes) as losses:
            won, lost = losses[:, : len(chosen)], losses[:, -len(chosen) :]
            swapped = (multipliers[0] < 0).to(losses.device)
            tokens, base = (values[:, chosen].to(losses.device) for values in (self.n_tokens, self.base))
            roles = [_by_role(*both, swapped) for both in ((won, lost), (tokens, tokens), (base, base))]
            yield BatchLosses(*(values for both in roles for values in both), batch_means=self.recipe.batch_means)


def _losses(engine: Engine, pairs: Sequence[EncodedPair], site: Site) -> Float[Tensor, "2 pairs"]:
    """Of the unsteered model, by way of the site."""
    nothing = SteeringVector(site, torch.zeros(site.widths(engine.model)[1]))
    found = torch.zeros(2, len(pairs), dtype=torch.float64)
    for some in batches_of_pairs(pairs, default_batch_tokens(engine.model)):
        losses, _ = engine.sweep(nothing, [pairs[index] for index in some], np.zeros(1), "all")
        found[:, some] = torch.from_numpy(losses[0])
    return found


def _by_role(
    won: Shaped[Tensor, "2 pairs"], lost: Shaped[Tensor, "2 pairs"], swapped: Bool[Tensor, " pairs"]
) -> tuple[Shaped[Tensor, " pairs"], Shaped[Tensor, " pairs"]]:
    """The winner's value and the loser's, from those of positive and negative, which change roles where m is negative."""
    return torch.where(swapped, won[1], won[0]), torch.where(swapped, lost[0], lost[1])


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
