"""The plain engine: every text whole, one forward for each multiplier. It is the judge of the fast one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from ..interventions import Intervention
from ..interventions.relative_shift import statistics
from ..interventions.steering import steer
from ..models.model import pad_batch
from ..models.prompts import EncodedPair
from ..models.sites import Site
from .activations import collecting
from .base import Engine
from .losses import completion_losses, pair_texts
from .prefix import Prefix


@final
@dataclass(frozen=True, eq=False)
class Plain(Engine):
    """Any model, and any hooks that others have put on it."""

    @torch.no_grad()
    def sweep(
        self,
        intervention: Intervention,
        pairs: Sequence[EncodedPair],
        multipliers: Float[ndarray, " m"],
        positions: str,
        *,
        batch_tokens: int | None = None,
        advance: Callable[[], None] = lambda: None,
    ) -> tuple[Float[ndarray, "m 2 pairs"], Float[ndarray, "sites 4 m pairs"]]:
        batch, n = pad_batch(pair_texts(pairs), self.model.padding_token), len(pairs)
        losses, shifts = [], []
        for multiplier in multipliers:
            with steer(self.model, intervention, float(multiplier), positions) as audit:
                loss, _ = completion_losses(self.model, batch)
            losses.append(rearrange(loss, "(side pairs) -> side pairs", side=2).cpu().numpy())
            seen = [one.seen[-1] for one in audit.at.values()]
            shifts.append([statistics(part.rows(slice(n)), part.rows(slice(n, None))).cpu().numpy() for part in seen])
            advance()
        return np.stack(losses), rearrange(np.array(shifts, np.float64), "m sites four pairs -> sites four m pairs")

    @torch.no_grad()
    def activations(
        self,
        intervention: Intervention,
        pairs: Sequence[EncodedPair],
        multipliers: Float[ndarray, " m"],
        positions: str,
        sites: Sequence[Site],
        tokens: Int[ndarray, "n 3"],
    ) -> list[Float[ndarray, "m n _"]]:
        batch = pad_batch(pair_texts(pairs), self.model.padding_token)
        pair, text, position = torch.from_numpy(tokens).T
        reading, found = collecting(
            sites, lambda value: value.cpu()[text * len(pairs) + pair, position].float().numpy()
        )
        for multiplier in multipliers:
            # The hooks that read come after the steer's, so they see what it has made.
            with steer(self.model, intervention, float(multiplier), positions), self.model.hooks(reading):
                self.model.logits(batch, at=torch.zeros_like(batch.completion_mask))
        return [np.stack(found[site]) for site in sites]

    def prefixes(self, pairs: Sequence[EncodedPair], site: Site) -> None:
        return None

    @contextmanager
    def losses(
        self,
        intervention: Intervention,
        pairs: Sequence[EncodedPair],
        multipliers: Float[Tensor, " pairs"],
        positions: str,
        *,
        prefixes: Sequence[Prefix] | None = None,
    ) -> Iterator[Float[Tensor, "2 pairs"]]:
        batch = pad_batch(pair_texts(pairs), self.model.padding_token)
        with steer(self.model, intervention, torch.cat([multipliers, multipliers]), positions):
            losses, _ = completion_losses(self.model, batch)
            yield rearrange(losses, "(side pairs) -> side pairs", side=2)
