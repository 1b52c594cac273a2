"""The fast engine: losses and activations of pairs by the arithmetic that depends on the multiplier, and no more."""

from collections.abc import Callable, Hashable, Iterator, Sequence
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
from ..interventions.relative_shift import STATISTICS, TokenShifts, statistics
from ..interventions.rules.base import Moment, applied, without_zeros
from ..interventions.steering import steer
from ..models.model import Hook
from ..models.prompts import EncodedPair
from ..models.sites import Site
from ..models.survey import Look
from .activations import collecting
from .base import Engine, T, batches_of_pairs, default_batch_tokens
from .forward import QueryKeys, RowForward
from .prefix import Prefix, stopping
from .rows import NEGATIVE, POSITIVE, Kept, PairRows, repeated
from .unsteered import unsteered
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
    ) -> tuple[Float[ndarray, "m 2 pairs"], Float[ndarray, "sites 4 m pairs"]]:
        forward, n = self._reading(pairs), len(pairs)
        rows, at = forward.rows, forward.rows.predictions()
        start, *read = self._start(intervention, pairs, forward, positions)
        shifts = np.zeros((len(intervention.sites), len(STATISTICS), len(multipliers), n))
        shifts[0] = start.relative_shifts(multipliers, *read)
        # Where completions alone are steered, nothing that a query computes depends on the multiplier; what it predicts,
        # each first token, included.
        is_fixed = (at.column < rows.begin[at.row]) & (positions == "completion")
        first, at = at.where(is_fixed), at.where(~is_fixed)
        keys, waiting = None, LossesInTurn(self.unembedding)
        if positions == "completion":
            keys = QueryKeys(rows.queries())
            with start.prefix.resumed(self.model), replace(forward, keys=keys).states(first) as states:
                waiting.add(states, first.target)
        # Later sites are looked at as they are passed, at the last tokens too, which nothing is predicted from.
        kept = Kept.where(rows.needed(positions, with_last=len(intervention.sites) > 1))
        start, at = start.take(kept, keys), at.take(kept)

        def run(forward: RowForward, times: int) -> None:
            here = at.repeat(times, n)
            with forward.states(here) as states:
                waiting.add(states, here.target)

        later = self._by_multiplier(start, torch.from_numpy(multipliers), run, batch_tokens, advance)
        for number, found in enumerate(later, 1):
            shifts[number] = np.concatenate(found, axis=1) if found else 0.0
        once, each = waiting.all().tensor_split([len(first.row)])
        losses = first.sums(once, n) + at.sums(each.view(len(multipliers), len(at.row)), n)
        return losses.cpu().numpy(), shifts

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
        start, *_ = self._start(intervention, pairs, forward, positions)
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
    ) -> list[list[Float[ndarray, "4 _ pairs"]]]:
        """Calls `run` under the steer, each time for as many multipliers side by side as there is room for.

        Relative shifts at the sites after the first come back, for each forward one.
        """
        later: list[list[ndarray]] = [[] for _ in start.intervention.sites[1:]]
        n_tokens = start.forward.rows.tokens.numel()
        if n_tokens == 0:
            # Nothing depends on the multiplier.
            for _ in multipliers:
                advance()
            return later
        room = max(1, (batch_tokens or default_batch_tokens(self.model)) // n_tokens)
        for times, shares in groupby(multipliers.tensor_split(ceil(len(multipliers) / room)), key=len):
            stack = start.repeat(times)
            with stack.prefix.resumed(self.model):
                for share in shares:
                    with self.model.hooks(stack.hooks(share, later)):
                        run(stack.forward, times)
                    for _ in share:
                        advance()
        return later

    def prefixes(self, pairs: Sequence[EncodedPair], site: Site) -> list[Prefix]:
        return self.kept(
            ("prefixes", site, tuple(pairs)),
            lambda: self._prefixes(pairs, site),
            lambda new: sum(each.n_bytes for each in new),
        )

    @torch.no_grad()
    def _prefixes(self, pairs: Sequence[EncodedPair], site: Site) -> list[Prefix]:
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
        prefixes: Sequence[Prefix] | None = None,
    ) -> Iterator[Float[Tensor, "2 pairs"]]:
        whole = self._reading(pairs)
        kept = Kept.where(whole.rows.needed("all"))
        forward, at = whole.take(kept, None), whole.rows.predictions().take(kept)
        prefix = Prefix.join(
            prefixes or self.prefixes(pairs, intervention.sites[0]),
            lambda tensors: torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True),
        )
        steered = forward.rows.steered(positions, self.model.bos_token)
        with (
            prefix.resumed(self.model),
            steer(self.model, intervention, multipliers.float(), steered),
            forward.states(at) as states,
        ):
            yield at.sums(self.unembedding.losses(states, at.target), len(pairs))

    def kept(self, key: Hashable, compute: Callable[[], T], size: Callable[[T], int]) -> T:
        return unsteered(self.model).get(key, compute, size)

    def _reading(self, pairs: Sequence[EncodedPair]) -> RowForward:
        return RowForward(self.model, PairRows.of(pairs, self.model.padding_token, self.model.device))

    def _start(
        self, intervention: Intervention, pairs: Sequence[EncodedPair], forward: RowForward, positions: str
    ) -> tuple["_Start", Float[Tensor, "rows pos d_in"], Float[Tensor, "rows pos d_out"]]:
        """What forwards of these pairs' rows go on from; and h and the value at the intervention's first site."""
        site = intervention.sites[0]
        prefix = self.kept(
            ("prefix", site, tuple(pairs)),
            lambda: Prefix.record(self.model, site, forward.run),
            lambda new: new.n_bytes,
        )
        seen: list[Tensor] = []
        with prefix.resumed(self.model), stopping(self.model, prefix.site.hooks(lambda *both: seen.extend(both))):
            forward.run()
        h, value = seen
        steered = forward.rows.steered(positions, self.model.bos_token)
        start = _Start(intervention, prefix, forward, steered, intervention.shifts[prefix.site].delta(h))
        if intervention.rule.is_linear:
            start = replace(start, shift=start.applied(h, value, torch.ones(len(h))))
        return start, h, value


@dataclass(frozen=True, eq=False)
class _Start:
    """What the forwards of a sweep go on from, row by row: what leads to the intervention's first site, and what it does there.
    Sites after it depend on the multiplier and are live."""

    intervention: Intervention
    prefix: Prefix
    forward: RowForward
    steered: Bool[Tensor, "rows pos"]
    shift: Float[Tensor, "rows pos d_out"]
    """Where the rule is linear, what it adds under multiplier one, else Δh."""

    def relative_shifts(
        self,
        multipliers: Float[ndarray, " m"],
        h: Float[Tensor, "rows pos d_in"],
        value: Float[Tensor, "rows pos d_out"],
    ) -> Float[ndarray, "4 m pairs"]:
        """At the first site."""
        if self.intervention.rule.is_linear:
            once = self._statistics(self.shift, value, 1)
            sizes = np.abs(multipliers)[:, None]
            # At m = 0 nothing is added, even if the shift under one is infinite.
            return np.multiply(sizes, once, out=np.zeros((len(once), len(sizes), once.shape[-1])), where=sizes > 0)
        shifts = (self.applied(h, value, torch.full((len(h),), float(m))) for m in multipliers)
        return np.concatenate([self._statistics(shift, value, 1) for shift in shifts], axis=1)

    def take(self, kept: Kept, keys: QueryKeys | None) -> "_Start":
        """These columns alone; `keys` are what they ask besides."""
        forward = self.forward.take(kept, keys)
        steered = kept.of(self.steered) & forward.rows.present
        return _Start(self.intervention, self.prefix.map(kept.of), forward, steered, kept.of(self.shift))

    def repeat(self, times: int) -> "_Start":
        """For so many multipliers side by side."""
        prefix = self.prefix.map(lambda tensor: repeated(tensor, times))
        steered, shift = (repeated(tensor, times) for tensor in (self.steered, self.shift))
        return _Start(self.intervention, prefix, self.forward.repeat(times), steered, shift)

    def hooks(self, multipliers: Float[Tensor, " times"], later: list[list[ndarray]]) -> list[Hook]:
        """What acts at the sites; at those after the first, relative shifts are added to `later`."""
        m = multipliers.float().repeat_interleave(len(self.shift) // len(multipliers))
        rule = self.intervention.rule

        def first(h: Tensor, value: Tensor) -> Tensor:
            if not rule.is_linear:
                return self.applied(h, value, m).to(value.dtype)
            return without_zeros(m.to(value.device)[:, None, None] * self.shift, m).to(value.dtype)

        def live(site: Site, found: list[ndarray]) -> Look:
            def look(h: Tensor, value: Tensor) -> Tensor:
                delta = self.intervention.shifts[site].delta(h)
                shift = applied(rule, Moment(site, h, value, delta, m, self.steered))
                found.append(self._statistics(shift, value, len(multipliers)))
                return shift.to(value.dtype)

            return look

        sites = self.intervention.sites
        looks = [first, *(live(site, found) for site, found in zip(sites[1:], later, strict=True))]
        return [hook for site, look in zip(sites, looks, strict=True) for hook in site.hooks(look)]

    def applied(
        self,
        h: Float[Tensor, "rows pos d_in"],
        value: Float[Tensor, "rows pos d_out"],
        multipliers: Float[Tensor, " rows"],
    ) -> Float[Tensor, "rows pos d_out"]:
        """By the rule, at the first site, while `shift` is Δh."""
        moment = Moment(self.prefix.site, h, value, self.shift, multipliers, self.steered)
        return applied(self.intervention.rule, moment)

    def _statistics(
        self, shift: Float[Tensor, "rows pos d_out"], value: Float[Tensor, "rows pos d_out"], times: int
    ) -> Float[ndarray, "4 times pairs"]:
        rows = self.forward.rows
        seen = TokenShifts.of(shift, value, self.steered, rows.positions == 0)
        both = statistics(*(seen.where(rows.of_text(part)) for part in (POSITIVE, NEGATIVE)))
        return rearrange(both, "four (times pairs) -> four times pairs", times=times).double().cpu().numpy()
