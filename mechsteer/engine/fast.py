"""The fast engine: losses and activations of pairs by the arithmetic that depends on the multiplier, and no more."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from math import ceil
from typing import final

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from ..interventions import Intervention
from ..interventions.shift import relative_size, scaled
from ..interventions.steering import steer
from ..models.prompts import EncodedPair
from ..models.sites import Site
from ..models.survey import Look
from .activations import collecting
from .base import Engine, batches_of_pairs, default_batch_tokens
from .forward import QueryKeys, RowForward
from .prefix import Prefix, stopping
from .rows import NEGATIVE, POSITIVE, Kept, PairRows, repeated
from .vocabulary import LossesInTurn, Unembedding

PREFIX_BYTES = 2**30
"""What is remembered of all pairs for training may take so much; beyond it, only the residual at the block's entry."""


@final
@dataclass(frozen=True, eq=False)
class Fast(Engine):
    """For models whose last module is a linear map, and that take a mask of who sees whom; see `engine_for`."""

    unembedding: Unembedding

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
        forward, n = self._reading(pairs), len(pairs)
        rows, at = forward.rows, forward.rows.predictions()
        start, value = self._start(intervention, forward, positions)
        shift = _relative_shift(start.delta, value, rows, rows.steered(positions, self.model.bos_token))
        # Where completions alone are steered, nothing that a query computes depends on the multiplier; what it predicts,
        # each first token, included.
        is_fixed = (at.column < rows.begin[at.row]) & (positions == "completion")
        first, at = at.where(is_fixed), at.where(~is_fixed)
        keys, waiting = None, LossesInTurn(self.unembedding)
        if positions == "completion":
            keys = QueryKeys(rows.queries())
            with start.prefix.resumed(self.model):
                waiting.add(replace(forward, keys=keys).states(first), first.target)
        kept = Kept.where(rows.needed(positions))
        start, at = start.take(kept, keys), at.take(kept)

        def run(forward: RowForward, times: int) -> None:
            here = at.repeat(times, n)
            waiting.add(forward.states(here), here.target)

        self._by_multiplier(start, torch.from_numpy(multipliers), run, batch_tokens, advance)
        once, each = waiting.all().tensor_split([len(first.row)])
        losses = first.sums(once, n) + at.sums(each.view(len(multipliers), len(at.row)), n)
        sizes, shifts = np.abs(multipliers)[:, None], np.zeros((len(multipliers), n))
        # Added as it is, a shift is |m| times as long as at m = 1; and at m = 0 it is none, even if the delta is infinite.
        return losses.cpu().numpy(), np.multiply(sizes, shift.cpu().numpy(), out=shifts, where=sizes > 0)

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
        forward = self._reading(pairs)
        start, _ = self._start(intervention, forward, positions)
        row, text, position = torch.from_numpy(tokens).to(self.model.device).T
        column = forward.rows.column(row, text == 1, position)

        def take(value: Tensor) -> ndarray:
            by_multiplier = rearrange(value, "(m pair) pos d -> m pair pos d", pair=len(pairs))
            return by_multiplier[:, row.to(value.device), column.to(value.device)].float().cpu().numpy()

        reading, found = collecting(sites, take)

        def run(forward: RowForward, times: int) -> None:
            with stopping(self.model, reading):
                forward.run()

        self._by_multiplier(start, torch.from_numpy(multipliers), run)
        return [np.concatenate(found[site]) for site in sites]

    def _by_multiplier(
        self,
        start: "_Start",
        multipliers: Float[Tensor, " m"],
        run: Callable[[RowForward, int], None],
        batch_tokens: int | None = None,
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        """Calls `run` under the steer, each time for as many multipliers side by side as there is room for."""
        n_tokens = start.forward.rows.tokens.numel()
        if n_tokens == 0:
            # Nothing depends on the multiplier.
            for _ in multipliers:
                advance()
            return
        room = max(1, (batch_tokens or default_batch_tokens(self.model)) // n_tokens)
        for times, shares in groupby(multipliers.tensor_split(ceil(len(multipliers) / room)), key=len):
            stack = start.repeat(times)
            with stack.prefix.resumed(self.model):
                for share in shares:
                    with self.model.hooks(stack.prefix.site.hooks(stack.shifting(share))):
                        run(stack.forward, times)
                    for _ in share:
                        advance()

    @torch.no_grad()
    def prefixes(self, pairs: Sequence[EncodedPair], site: Site) -> list[Prefix]:
        kept: dict[int, Prefix] = {}
        inside = True
        for some in batches_of_pairs(pairs, default_batch_tokens(self.model)):
            forward = self._reading([pairs[index] for index in some])
            prefix = Prefix.record(self.model, site, forward.run, inside=inside)
            if not kept and prefix.n_bytes / len(some) * len(pairs) > PREFIX_BYTES:
                inside, prefix = False, Prefix(site, prefix.entering, {}, {}, {})
            needed = forward.rows.needed("all")
            for row, index in enumerate(some):
                here = needed[row]
                kept[index] = prefix.map(lambda tensor, row=row, here=here: tensor[row][here.to(tensor.device)].clone())
        return [kept[index] for index in range(len(pairs))]

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
        whole = self._reading(pairs)
        kept = Kept.where(whole.rows.needed("all"))
        forward, at = whole.take(kept, None), whole.rows.predictions().take(kept)
        prefix = Prefix.join(
            prefixes or self.prefixes(pairs, intervention.site),
            lambda tensors: torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True),
        )
        steered = forward.rows.steered(positions, self.model.bos_token)
        null_out = multipliers < 0 if nulls_out else None
        with (
            prefix.resumed(self.model),
            steer(self.model, intervention, multipliers.float(), steered, null_out=null_out),
        ):
            yield at.sums(self.unembedding.losses(forward.states(at), at.target), len(pairs))

    def _reading(self, pairs: Sequence[EncodedPair]) -> RowForward:
        return RowForward(self.model, PairRows.of(pairs, self.model.padding_token, self.model.device))

    def _start(
        self, intervention: Intervention, forward: RowForward, positions: str
    ) -> tuple["_Start", Float[Tensor, "pairs pos d_out"]]:
        """What forwards of these rows go on from, and the value that they shift."""
        prefix = Prefix.record(self.model, intervention.site, forward.run)
        seen: list[Tensor] = []
        with prefix.resumed(self.model), stopping(self.model, prefix.site.hooks(lambda *both: seen.extend(both))):
            forward.run()
        h, value = seen
        delta, steered = intervention.delta(h), forward.rows.steered(positions, self.model.bos_token)
        return _Start(prefix, torch.where(steered.to(delta.device)[..., None], delta, 0.0), forward), value


@dataclass(frozen=True, eq=False)
class _Start:
    """What the forwards of a sweep go on from, row by row; `delta` is zero at tokens that are not steered."""

    prefix: Prefix
    delta: Float[Tensor, "rows pos d_out"]
    forward: RowForward

    def take(self, kept: Kept, keys: QueryKeys | None) -> "_Start":
        """These columns alone; `keys` are what they ask besides."""
        return _Start(self.prefix.map(kept.of), kept.of(self.delta), self.forward.take(kept, keys))

    def repeat(self, times: int) -> "_Start":
        """For so many multipliers side by side."""
        prefix = self.prefix.map(lambda tensor: repeated(tensor, times))
        return _Start(prefix, repeated(self.delta, times), self.forward.repeat(times))

    def shifting(self, multipliers: Float[Tensor, " times"]) -> Look:
        """m·Δh for the hooks of the site."""
        m = multipliers.float().repeat_interleave(len(self.delta) // len(multipliers))
        return lambda h, value: scaled(m, self.delta).to(value.dtype)


def _relative_shift(delta: Tensor, value: Tensor, rows: PairRows, steered: Bool[Tensor, "pairs pos"]) -> Tensor:
    """‖Δh‖/‖h‖ of each pair: means over each text's steered tokens, and of both texts."""
    ratio = relative_size(delta, value)
    means = []
    for part in (POSITIVE, NEGATIVE):
        own = steered.to(ratio.device) & ((rows.part < POSITIVE) | (rows.part == part)).to(ratio.device)
        means.append(torch.where(own, ratio, 0.0).sum(dim=1) / own.sum(dim=1).clamp(min=1))
    return (means[0] + means[1]).double() / 2
