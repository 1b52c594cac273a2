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
from torch.nn.utils.rnn import pad_sequence

from ..interventions import Intervention
from ..interventions.relative_shift import TokenShifts, statistics
from ..interventions.steering import steer
from ..models.model import TokenBatch, pad_batch
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

    alone: bool = False
    """Whether every text has a forward of its own, because what stands beside it would reach its losses."""

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
        parts, n = self._parts(pairs), len(pairs)
        losses, shifts = [], []
        for multiplier in multipliers:
            with steer(self.model, intervention, float(multiplier), positions) as audit:
                losses.append(self._losses(parts).cpu().numpy())
            seen = [TokenShifts.join(one.seen) for one in audit.at.values()]
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
        parts = self._parts(pairs)
        pair, text, position = torch.from_numpy(tokens).T
        by_multiplier: list[list[Tensor]] = [[] for _ in sites]
        for multiplier in multipliers:
            reading, found = collecting(sites, lambda value: value.float().cpu())
            # The hooks that read come after the steer's, so they see what it has made.
            with steer(self.model, intervention, float(multiplier), positions), self.model.hooks(reading):
                for part in parts:
                    self.model.logits(part, at=torch.zeros_like(part.completion_mask))
            for values, site in zip(by_multiplier, sites, strict=True):
                whole = pad_sequence([row for value in found[site] for row in value], batch_first=True)
                values.append(whole[text * len(pairs) + pair, position])
        return [torch.stack(values).numpy() for values in by_multiplier]

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
        with steer(self.model, intervention, torch.cat([multipliers, multipliers]), positions):
            yield self._losses(self._parts(pairs))

    def _parts(self, pairs: Sequence[EncodedPair]) -> list[TokenBatch]:
        """Positive texts, then negative ones."""
        whole = pad_batch(pair_texts(pairs), self.model.padding_token)
        return [whole.alone(row) for row in range(len(whole.tokens))] if self.alone else [whole]

    def _losses(self, parts: Sequence[TokenBatch]) -> Float[Tensor, "2 pairs"]:
        losses = torch.cat([completion_losses(self.model, part)[0] for part in parts])
        return rearrange(losses, "(side pairs) -> side pairs", side=2)
