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
    ) -> tuple[Float[ndarray, "m 2 pairs"], Float[ndarray, "m pairs"]]:
        batch = pad_batch(pair_texts(pairs), self.model.padding_token)
        losses, shifts = [], []
        for multiplier in multipliers:
            with steer(self.model, intervention, float(multiplier), positions) as audit:
                loss, _ = completion_losses(self.model, batch)
            losses.append(rearrange(loss, "(side pairs) -> side pairs", side=2).cpu().numpy())
            shifts.append(rearrange(audit.last, "(side pairs) -> side pairs", side=2).mean(dim=0).cpu().numpy())
            advance()
        return np.stack(losses), np.stack(shifts).astype(np.float64)

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
        nulls_out: bool = False,
        prefixes: Sequence[Prefix] | None = None,
    ) -> Iterator[Float[Tensor, "2 pairs"]]:
        batch = pad_batch(pair_texts(pairs), self.model.padding_token)
        m = torch.cat([multipliers, multipliers])
        with steer(self.model, intervention, m, positions, null_out=m < 0 if nulls_out else None):
            losses, _ = completion_losses(self.model, batch)
            yield rearrange(losses, "(side pairs) -> side pairs", side=2)
