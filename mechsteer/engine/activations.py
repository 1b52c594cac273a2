"""Activations of pairs at sites, read in one pass of forwards."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..brief import brief
from ..models.model import Hook, Model
from ..models.prompts import EncodedPair
from ..models.sites import Site
from .losses import batches, pair_texts

T = TypeVar("T")


@dataclass(frozen=True)
class Activations:
    """What stood at the sites at the completion tokens of some texts: a point for each token, the same at each site."""

    at: dict[Site, Float[Tensor, "points d_out"]]
    pair: Int[Tensor, " points"]
    is_positive: Bool[Tensor, " points"]

    __repr__ = brief


def read_activations(
    model: Model, pairs: Sequence[EncodedPair], sites: Sequence[Site | str], *, batch_size: int = 32
) -> Iterator[Activations]:
    """Activations at every completion token of the pairs' texts, a batch at a time, in the model's dtype."""
    for at, row in text_activations(model, pair_texts(pairs), [Site.of(site) for site in sites], batch_size=batch_size):
        yield Activations(at, row % len(pairs), row < len(pairs))


def text_activations(
    model: Model, texts: Sequence[tuple[Sequence[int], int]], sites: Sequence[Site], *, batch_size: int = 32
) -> Iterator[tuple[dict[Site, Float[Tensor, "points d_out"]], Int[Tensor, " points"]]]:
    """The same of any texts, each with the index at which its completion begins; and which text each point is of."""
    for item in batches(texts, batch_size, model.padding_token):
        completion = item.batch.completion_mask
        hooks, seen = collecting(sites, lambda value, here=completion: value[here.to(value.device)])
        with torch.no_grad(), model.hooks(hooks):
            model.logits(item.batch, at=torch.zeros_like(completion))
        row = torch.tensor(item.rows)[completion.nonzero()[:, 0]]
        yield {site: values[0] for site, values in seen.items()}, row


def collecting(sites: Sequence[Site], take: Callable[[Tensor], T]) -> tuple[list[Hook], dict[Site, list[T]]]:
    """Hooks that keep, at each site and in each forward, what `take` makes of the value there; and what they have kept."""
    kept: dict[Site, list[T]] = {site: [] for site in sites}

    def keep(site: Site):
        def look(h: Tensor, value: Tensor) -> None:
            kept[site].append(take(value))

        return look

    return [hook for site in sites for hook in site.hooks(keep(site))], kept
