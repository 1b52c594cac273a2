"""The fast engine: losses and activations of pairs by the arithmetic that depends on the multiplier, and no more."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor
from transformers import DynamicCache

from ..interventions import Intervention
from ..prompts import EncodedPair
from ..sites import Look, Site
from ..steering import steer
from .base import Engine, batches_of_pairs, default_batch_tokens
from .prefix import Prefix, forward_replaced, is_hooked, stopping
from .rows import NEGATIVE, POSITIVE, Kept, PairRows, Predictions, repeated, visible
from .vocabulary import LossesInTurn, Unembedding

Masks = Tensor | dict[str, Tensor]
"""Who sees whom, as a family takes it: a mask, or one for each kind of layer where some look through a window."""

PREFIX_BYTES = 2**30
"""What is remembered of all pairs for training may take so much; beyond it, only the residual at the block's entry."""


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
        rows, n = self._rows(pairs), len(pairs)
        masks, at = self._masks(rows), rows.predictions()
        start, value = self._start(intervention, rows, masks, positions)
        shift = _relative_shift(start.delta, value, rows, rows.steered(positions, self.model.bos_token))
        fixed, keys = torch.zeros(2, n, dtype=torch.float64), None
        if positions == "completion":
            # Nothing that a query computes depends on the multiplier; what it predicts, each first token, included.
            keys, from_query = QueryKeys(rows.queries()), at.column < rows.begin[at.row]
            first, at = at.where(from_query), at.where(~from_query)
            with start.prefix.resumed(self.model):
                states = self._states(rows, first, masks, keys)
            fixed = first.sums(self.unembedding.losses(states, first.target), n)
        kept = Kept.where(rows.needed(positions))
        start, at = start.take(kept, keys), at.take(kept)
        waiting = LossesInTurn(self.unembedding)

        def forward(stack: _Start, masks: Masks, times: int) -> None:
            here = at.repeat(times, n)
            waiting.add(self._states(stack.rows, here, masks, stack.keys), here.target)
            for _ in range(times):
                advance()

        self._by_multiplier(start, torch.from_numpy(multipliers), batch_tokens, forward)
        losses = at.sums(waiting.all().view(len(multipliers), len(at.row)), n)
        return (losses + fixed.to(losses.device)).cpu().numpy(), np.abs(multipliers)[:, None] * shift.cpu().numpy()

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
        rows = self._rows(pairs)
        start, _ = self._start(intervention, rows, self._masks(rows), positions)
        row, text, position = torch.from_numpy(tokens).to(rows.tokens.device).T
        column = rows.column(row, text == 1, position)
        found: dict[Site, list[ndarray]] = {site: [] for site in sites}

        def keep(site: Site):
            def look(h: Tensor, value: Tensor) -> None:
                by_multiplier = rearrange(value, "(m pair) pos d -> m pair pos d", pair=len(pairs))
                values = by_multiplier[:, row.to(value.device), column.to(value.device)]
                found[site].append(values.float().cpu().numpy())

            return look

        reading = [hook for site in sites for hook in site.hooks(keep(site))]

        def forward(stack: _Start, masks: Masks, times: int) -> None:
            with stopping(self.model, reading):
                self._run(stack.rows, masks)

        self._by_multiplier(start, torch.from_numpy(multipliers), None, forward)
        return [np.concatenate(found[site]) for site in sites]

    def _by_multiplier(
        self,
        start: "_Start",
        multipliers: Float[Tensor, " m"],
        batch_tokens: int | None,
        forward: Callable[["_Start", Masks, int], None],
    ) -> None:
        """Calls `forward` under the steer, each time with as many multipliers side by side as there is room for."""
        if start.rows.tokens.numel() == 0:
            return
        room = max(1, (batch_tokens or default_batch_tokens(self.model)) // start.rows.tokens.numel())
        for times, shares in groupby(multipliers.tensor_split(ceil(len(multipliers) / room)), key=len):
            stack = start.repeat(times)
            masks = self._masks(stack.rows, stack.keys)
            with stack.prefix.resumed(self.model):
                for share in shares:
                    with self.model.hooks(stack.prefix.site.hooks(stack.shifting(share))):
                        forward(stack, masks, times)

    @torch.no_grad()
    def prefixes(self, pairs: Sequence[EncodedPair], site: Site) -> list[Prefix]:
        kept: dict[int, Prefix] = {}
        inside = True
        for some in batches_of_pairs(pairs, default_batch_tokens(self.model)):
            rows = self._rows([pairs[index] for index in some])
            prefix = Prefix.record(
                self.model, site, lambda rows=rows: self._run(rows, self._masks(rows)), inside=inside
            )
            if not kept and prefix.n_bytes / len(some) * len(pairs) > PREFIX_BYTES:
                inside, prefix = False, Prefix(site, prefix.entering, {}, {}, {})
            needed = rows.needed("all")
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
        whole = self._rows(pairs)
        kept = Kept.where(whole.needed("all"))
        rows, at = whole.take(kept), whole.predictions().take(kept)
        prefix = Prefix.join(
            prefixes or self.prefixes(pairs, intervention.site),
            lambda tensors: torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True),
        )
        steered = rows.steered(positions, self.model.bos_token)
        null_out = multipliers < 0 if nulls_out else None
        with (
            prefix.resumed(self.model),
            steer(self.model, intervention, multipliers.float(), steered, null_out=null_out),
        ):
            states = self._states(rows, at, self._masks(rows))
            yield at.sums(self.unembedding.losses(states, at.target), len(pairs))

    def _rows(self, pairs: Sequence[EncodedPair]) -> PairRows:
        return PairRows.of(pairs, self.model.padding_token, self.model.device)

    def _states(
        self, rows: PairRows, at: Predictions, masks: Masks, keys: "QueryKeys | None" = None
    ) -> Float[Tensor, "n d_model"]:
        """What each prediction is made from, the normed residual, by one forward; gradients pass through."""
        seen: list[Tensor] = []

        def take(residual: Tensor) -> Tensor:
            return residual[at.row.to(residual.device), at.column.to(residual.device)]

        def end(residual: Tensor, hook: object) -> Tensor:
            if not seen:
                seen.append(take(residual))
            # The model's own unembedding has nothing left to do.
            return residual.new_zeros(0, residual.shape[-1])

        with ExitStack() as stack:
            stack.enter_context(self.model.hooks([("unembed.hook_in", end)]))
            norm = getattr(self.model.bridge, "ln_final", None)
            if norm is not None:
                whole = norm.forward

                def forward(residual: Tensor, **kwargs: Any) -> Tensor:
                    seen.append(whole(take(residual), **kwargs))
                    return residual

                stack.enter_context(forward_replaced(norm, forward))
            stack.enter_context(self._last_block_at(rows, at))
            self._run(rows, masks, keys)
        return seen[0]

    def _run(self, rows: PairRows, masks: Masks, keys: "QueryKeys | None" = None) -> None:
        """One forward over the rows, for its hooks."""
        self.model.hf(
            input_ids=rows.tokens,
            attention_mask=masks,
            position_ids=rows.positions,
            past_key_values=keys,
            use_cache=False,
        )

    def _masks(self, asking: PairRows, keys: "QueryKeys | None" = None) -> Masks:
        """Of rows that ask themselves, and the kept keys if there are any."""
        asked = asking if keys is None else keys.queries.beside(asking)
        config = self.model.hf.config.get_text_config()
        window, kinds = getattr(config, "sliding_window", None), set(getattr(config, "layer_types", None) or ())

        def mask(window: int | None) -> Tensor:
            hidden = ~visible(asking, asked, window)
            zeros = torch.zeros(hidden.shape, dtype=self.model.dtype, device=hidden.device)
            return rearrange(zeros.masked_fill_(hidden, torch.finfo(zeros.dtype).min), "b i j -> b 1 i j")

        if len(kinds) > 1:
            return {kind: mask(window if kind == "sliding_attention" else None) for kind in kinds}
        return mask(None if kinds == {"full_attention"} else window)

    def _start(
        self, intervention: Intervention, rows: PairRows, masks: Masks, positions: str
    ) -> tuple["_Start", Float[Tensor, "pairs pos d_out"]]:
        """What forwards of these rows go on from, and the value that they shift."""
        prefix = Prefix.record(self.model, intervention.site, lambda: self._run(rows, masks))
        seen: list[Tensor] = []
        with prefix.resumed(self.model), stopping(self.model, prefix.site.hooks(lambda *both: seen.extend(both))):
            self._run(rows, masks)
        h, value = seen
        delta, steered = intervention.delta(h), rows.steered(positions, self.model.bos_token)
        return _Start(prefix, torch.where(steered.to(delta.device)[..., None], delta, 0.0), rows, None), value

    @contextmanager
    def _last_block_at(self, rows: PairRows, at: Predictions) -> Iterator[None]:
        """The last block's MLP works on the positions that something is predicted from, and nowhere else."""
        mlp: Any = getattr(self.model.bridge.blocks[-1], "mlp", None)
        # Not where it has no module of its own, is finished already, or holds the steer.
        if getattr(mlp, "name", None) is None or "forward" in vars(mlp) or is_hooked(self.model, mlp):
            yield
            return
        here = (at.row * rows.tokens.shape[1] + at.column).unique()
        whole = mlp.forward

        def forward(hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            index, flat = here.to(hidden.device), hidden.flatten(0, 1)
            made = whole(flat.index_select(0, index)[None], *args, **kwargs)[0]
            return torch.zeros_like(flat).index_copy(0, index, made).view_as(hidden)

        with forward_replaced(mlp, forward):
            yield


class QueryKeys(DynamicCache):
    """Keys and values of the queries' tokens, which completions ask and a steer of completions leaves alone."""

    def __init__(self, queries: PairRows, kept: dict[int, tuple[Tensor, Tensor]] | None = None):
        super().__init__()
        self.queries = queries
        self.is_recording = kept is None
        self.kept = {} if kept is None else kept

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any):
        """While recording, keep those of the queries' columns; afterwards, put them before the new ones."""
        if self.is_recording:
            width = self.queries.tokens.shape[1]
            self.kept[layer_idx] = (key_states[:, :, :width].clone(), value_states[:, :, :width].clone())
            return key_states, value_states
        keys, values = self.kept[layer_idx]
        return torch.cat([keys, key_states], dim=2), torch.cat([values, value_states], dim=2)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return 0 if self.is_recording else self.queries.tokens.shape[1]

    def repeat(self, times: int) -> "QueryKeys":
        """For rows that are repeated, and ready to be asked."""
        kept = {layer: (repeated(k, times), repeated(v, times)) for layer, (k, v) in self.kept.items()}
        return QueryKeys(self.queries.repeat(times), kept)


@dataclass(frozen=True, eq=False)
class _Start:
    """What the forwards of a sweep go on from, row by row; `delta` is zero at tokens that are not steered."""

    prefix: Prefix
    delta: Float[Tensor, "rows pos d_out"]
    rows: PairRows
    keys: QueryKeys | None

    def take(self, kept: Kept, keys: QueryKeys | None) -> "_Start":
        """These columns alone; `keys` are what they ask besides."""
        return _Start(self.prefix.map(kept.of), kept.of(self.delta), self.rows.take(kept), keys)

    def repeat(self, times: int) -> "_Start":
        """For so many multipliers side by side."""
        return _Start(
            self.prefix.map(lambda tensor: repeated(tensor, times)),
            repeated(self.delta, times),
            self.rows.repeat(times),
            None if self.keys is None else self.keys.repeat(times),
        )

    def shifting(self, multipliers: Float[Tensor, " times"]) -> Look:
        """m·Δh for the hooks of the site; nothing where m is 0, even if the delta is infinite."""
        m = multipliers.float().repeat_interleave(len(self.delta) // len(multipliers)).to(self.delta.device)
        without = (m == 0).nonzero()[:, 0]

        def look(h: Tensor, value: Tensor) -> Tensor:
            return (m[:, None, None] * self.delta).index_fill_(0, without, 0.0).to(value.dtype)

        return look


def _relative_shift(delta: Tensor, value: Tensor, rows: PairRows, steered: Bool[Tensor, "pairs pos"]) -> Tensor:
    """‖Δh‖/‖h‖ of each pair: means over each text's steered tokens, and of both texts."""
    norm = torch.linalg.vector_norm
    ratio = norm(delta.float(), dim=-1) / norm(value.float(), dim=-1).clamp(min=1e-30)
    means = []
    for part in (POSITIVE, NEGATIVE):
        own = steered.to(ratio.device) & ((rows.part < POSITIVE) | (rows.part == part)).to(ratio.device)
        means.append(torch.where(own, ratio, 0.0).sum(dim=1) / own.sum(dim=1).clamp(min=1))
    return (means[0] + means[1]).double() / 2
