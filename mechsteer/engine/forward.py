"""A forward of pair rows through the model; the last block's MLP and the final norm work only where something is predicted."""

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from ..models.hooks import BEFORE_UNEMBEDDING, FINAL_NORM
from ..models.model import Model
from ..models.others import is_hooked
from ..models.sites import Site
from .prefix import forward_replaced
from .rows import Kept, PairRows, Predictions, repeated, visible

Masks = Tensor | dict[str, Tensor]
"""Who sees whom, as a family takes it: a mask, or one for each kind of layer where some look through a window."""


@dataclass(frozen=True, eq=False)
class RowForward:
    """Rows that a model reads, and the keys of queries that they ask besides."""

    model: Model
    rows: PairRows
    keys: "QueryKeys | None" = None

    def take(self, kept: Kept, keys: "QueryKeys | None") -> "RowForward":
        """These columns alone; `keys` are what they ask besides."""
        return RowForward(self.model, self.rows.take(kept), keys)

    def repeat(self, times: int) -> "RowForward":
        """For rows that are repeated."""
        return RowForward(self.model, self.rows.repeat(times), None if self.keys is None else self.keys.repeat(times))

    @cached_property
    def masks(self) -> Masks:
        """Of rows that ask themselves, and the kept keys if there are any."""
        asked = self.rows
        if self.keys is not None and not self.keys.is_recording:
            asked = self.keys.queries.beside(self.rows)
        config = self.model.hf.config.get_text_config()
        window, kinds = getattr(config, "sliding_window", None), set(getattr(config, "layer_types", None) or ())

        def mask(window: int | None) -> Tensor:
            hidden = ~visible(self.rows, asked, window)
            zeros = torch.zeros(hidden.shape, dtype=self.model.dtype, device=hidden.device)
            return rearrange(zeros.masked_fill_(hidden, torch.finfo(zeros.dtype).min), "b i j -> b 1 i j")

        if len(kinds) > 1:
            return {kind: mask(window if kind == "sliding_attention" else None) for kind in kinds}
        return mask(None if kinds == {"full_attention"} else window)

    def run(self) -> None:
        """One forward, for its hooks."""
        kept = {} if self.keys is None else {cache_name(self.model): self.keys}
        self.model.hf(
            input_ids=self.rows.tokens,
            attention_mask=self.masks,
            position_ids=self.rows.positions,
            use_cache=False,
            **kept,
        )

    @contextmanager
    def states(self, at: Predictions) -> Iterator[Float[Tensor, "n d_model"]]:
        """What each prediction is made from, the normed residual, by one forward; gradients pass through.

        The backward pass belongs inside the block: a block that is computed again must be the one that was shortened.
        """
        seen: list[Tensor] = []

        def take(residual: Tensor) -> Tensor:
            return residual[at.row.to(residual.device), at.column.to(residual.device)]

        def end(residual: Tensor, hook: object) -> Tensor:
            if not seen:
                seen.append(take(residual))
            # The model's own unembedding has nothing left to do.
            return residual.new_zeros(0, residual.shape[-1])

        with ExitStack() as stack:
            stack.enter_context(self.model.hooks([(BEFORE_UNEMBEDDING, end)]))
            norm = getattr(self.model.bridge, FINAL_NORM, None)
            if norm is not None:
                whole = norm.forward

                def forward(residual: Tensor, **kwargs: Any) -> Tensor:
                    seen.append(whole(take(residual), **kwargs))
                    return residual

                stack.enter_context(forward_replaced(norm, forward))
            stack.enter_context(self._last_block_at(at))
            self.run()
            yield seen[0]

    @contextmanager
    def _last_block_at(self, at: Predictions) -> Iterator[None]:
        """The last block's MLP works on the positions that something is predicted from, and nowhere else."""
        mlp: Any = getattr(self.model.bridge.blocks[-1], "mlp", None)
        leaving = self.model.hook_points[Site(self.model.n_layers - 1, "resid_post").hook]
        # Not where it has no module of its own, is finished already, or what it makes is looked at everywhere.
        if (
            getattr(mlp, "name", None) is None
            or "forward" in vars(mlp)
            or any(is_hooked(self.model, part) for part in (mlp, leaving))
        ):
            yield
            return
        here = (at.row * self.rows.tokens.shape[1] + at.column).unique()
        whole = mlp.forward

        def forward(hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            index, flat = here.to(hidden.device), hidden.flatten(0, 1)
            made = whole(flat.index_select(0, index)[None], *args, **kwargs)[0]
            return torch.zeros_like(flat).index_copy(0, index, made).view_as(hidden)

        with forward_replaced(mlp, forward):
            yield


def cache_name(model: Model) -> str:
    """What the model's forward calls a cache: transformers 5.24 renamed it."""
    return "cache" if "cache" in inspect.signature(model.hf.forward).parameters else "past_key_values"


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
