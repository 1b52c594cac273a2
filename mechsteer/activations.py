"""Activations of pairs at sites, read in one pass of forwards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .losses import batches, pair_texts
from .models import Model
from .prompts import EncodedPair
from .sites import Site


@dataclass(frozen=True)
class Activations:
    """What stood at the sites at the completion tokens of some texts: a point for each token, the same at each site."""

    at: dict[Site, Float[Tensor, "points d_out"]]
    pair: Int[Tensor, " points"]
    is_positive: Bool[Tensor, " points"]


def read_activations(
    model: Model, pairs: Sequence[EncodedPair], sites: Sequence[Site], *, batch_size: int = 32
) -> Iterator[Activations]:
    """Activations at every completion token of the pairs' texts, a batch at a time, in the model's dtype."""
    for item in batches(pair_texts(pairs), batch_size, model.padding_token):
        completion = item.batch.completion_mask
        at: dict[Site, Tensor] = {}

        def keep(site: Site, at: dict[Site, Tensor] = at, completion: Tensor = completion):
            def look(h: Tensor, value: Tensor) -> None:
                at[site] = value[completion.to(value.device)]

            return look

        none = torch.zeros_like(completion)
        with torch.no_grad(), model.hooks([hook for site in sites for hook in site.hooks(keep(site))]):
            model.logits(item.batch, at=none)
        row = torch.tensor(item.rows)[completion.nonzero()[:, 0]]
        yield Activations(at, row % len(pairs), row < len(pairs))
