"""Steering: an intervention at work at its sites while a block of code runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import InputError
from ..models.model import Model, TokenBatch
from ..models.positions import begins_with, steered
from ..models.sites import POSITIONS
from .audit import Audit, SiteAudit
from .base import Intervention, Shift
from .relative_shift import TokenShifts
from .rules.base import Moment, Rule, applied


@contextmanager
def steer(
    model: Model,
    intervention: Intervention,
    multiplier: float | Float[Tensor, " batch"],
    positions: str | Bool[Tensor, "batch pos"] | None = None,
) -> Iterator[Audit]:
    """Let the intervention act at its sites, by its rule, in every forward inside the block (arXiv 2602.02343, eq. 4).

    Args:
        multiplier: the strength m, or one for each row of the batch; the rule says what it means, and by `Add`, the rule that
            nobody names, m·(ΔW h + Δb) is added. At m = 0 the model is the base model, bit for bit.
        positions: by default those with which the intervention was learned, else "all": every token but the one that
            begins the text (BOS) and padding, as in the paper.
            "completion" is the completion's own tokens or those generated; the query's last token, which predicts the
            first of them, is not steered. "query" is the rest of "all", and "every" is BOS too. Or a mask of the batch's shape.

    Steers nest: an inner one reads what the outer ones have made. Hooks never outlive the block.
    """
    intervention.check_fits(model)
    chosen = intervention.origin.positions if positions is None else positions
    multiplier = _finite(multiplier)
    if isinstance(chosen, str) and chosen not in POSITIONS:
        raise InputError(f"The `positions` {chosen!r} are unknown. Choose {', '.join(POSITIONS)}.")
    audit = Audit({site: SiteAudit(site) for site in intervention.sites})
    rule = intervention.rule.begin()
    forward: list[_Read] = []
    lengths = _Lengths()

    def remember(module: object, args: tuple, kwargs: dict) -> None:
        tokens = _tokens(args, kwargs)
        forward[:] = [_Read.of(model, tokens, _present(tokens, kwargs, lengths), chosen)]

    def acting(shift: Shift, one: SiteAudit):
        def look(h: Float[Tensor, "batch pos d_in"], value: Float[Tensor, "batch pos d_out"]) -> Tensor:
            read = forward[0]
            return _act(rule, shift, one, read, h, value, _of_rows(multiplier, len(read.steered), model.batch))

        return look

    hooks = [hook for site, shift in intervention.shifts.items() for hook in site.hooks(acting(shift, audit.at[site]))]
    handle = model.hf.register_forward_pre_hook(remember, with_kwargs=True)
    try:
        with model.hooks(hooks):
            yield audit
    finally:
        handle.remove()


def _act(
    rule: Rule,
    shift: Shift,
    audit: SiteAudit,
    read: "_Read",
    h: Float[Tensor, "batch pos d_in"],
    value: Float[Tensor, "batch pos d_out"],
    multiplier: Float[Tensor, " batch"],
) -> Float[Tensor, "batch pos d_out"]:
    """What is added at one site in one forward."""
    moment = Moment(shift.site, h, value, shift.delta(h), multiplier, read.steered, read.position, read.is_completion)
    added = applied(rule, moment)
    audit.seen.append(TokenShifts.of(added, value, read.steered, read.position == 0))
    return added.to(value.dtype)


@dataclass(frozen=True, eq=False)
class _Read:
    """Of a forward's tokens, which are steered, which are of the completion (None where it did not say), and each one's place
    in its text; with a cache, these are only the newest of the text."""

    steered: Bool[Tensor, "batch pos"]
    position: Int[Tensor, "batch pos"]
    is_completion: Bool[Tensor, "batch pos"] | None

    @classmethod
    def of(
        cls,
        model: Model,
        tokens: Int[Tensor, "batch pos"],
        present: Int[Tensor, "batch all"],
        positions: str | Tensor,
    ) -> "_Read":
        n_rows, n_new = tokens.shape
        place = (present.cumsum(dim=1) - 1)[:, -n_new:]
        here = present[:, -n_new:].bool()
        is_completion = None
        if model.batch is not None and n_rows % len(model.batch.completion_mask) == 0:
            read = model.batch.completion_mask.to(tokens.device)
            n_generated = max(0, present.shape[1] - read.shape[1])
            generated = torch.ones(len(read), n_generated, dtype=torch.bool, device=tokens.device)
            known = torch.cat([read, generated], dim=1)[:, : present.shape[1]][:, -n_new:]
            # Beam search and several samples per prompt repeat the rows.
            is_completion = known.repeat_interleave(n_rows // len(read), dim=0)
        if isinstance(positions, Tensor):
            if positions.shape != tokens.shape:
                raise InputError(
                    f"The mask of positions has shape {tuple(positions.shape)}, the batch {tuple(tokens.shape)}. "
                    "Make them equal."
                )
            return cls(positions.to(tokens.device), place, is_completion)
        begins = begins_with(model.bos_token, tokens, place == 0)
        if positions in ("all", "every"):
            return cls(steered(positions, present=here, begins=begins, is_completion=here), place, is_completion)
        if is_completion is None:
            raise InputError(
                f"positions={positions!r} needs to know where the completion begins, and this forward did not say. "
                "Run it by model.logits or generate, or pass a mask."
            )
        return cls(steered(positions, present=here, begins=begins, is_completion=is_completion), place, is_completion)


@contextmanager
def telling_lengths(model: Model, lengths: list[int]) -> Iterator[None]:
    """In every forward inside the block, how long the texts are of which a steer would take it to read the newest tokens."""
    caches = _Lengths()

    def tell(module: object, args: tuple, kwargs: dict) -> None:
        tokens = _tokens(args, kwargs)
        lengths.append(_present(tokens, kwargs, caches).shape[1])

    handle = model.hf.register_forward_pre_hook(tell, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _tokens(args: tuple, kwargs: dict) -> Int[Tensor, "batch pos"]:
    """What a forward reads."""
    tokens = kwargs.get("input_ids", args[0] if args else None)
    if tokens is None:
        raise InputError(
            "A forward without input_ids came, and which tokens to steer is not known. Pass tokens, not embeddings."
        )
    return tokens


class _Lengths:
    """How many tokens stand in each cache."""

    def __init__(self):
        self.read: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def before(self, cache: Any, n_new: int) -> int:
        """When so many more are about to be read."""
        if cache is None:
            return 0
        try:
            n_before = int(cache.get_seq_length())
        except ValueError:
            # One of recurrent layers alone does not know.
            n_before = self.read.get(cache, 0)
        self.read[cache] = n_before + n_new
        return n_before


def _present(tokens: Int[Tensor, "batch pos"], kwargs: dict, lengths: _Lengths) -> Int[Tensor, "batch all"]:
    """Which tokens are no padding, those in a cache first."""
    n_rows, n_new = tokens.shape
    named = (kwargs.get(name) for name in ("cache", "past_key_values", "cache_params"))
    n_before = lengths.before(next((cache for cache in named if cache is not None), None), n_new)
    mask = kwargs.get("attention_mask")
    if isinstance(mask, Tensor) and mask.ndim == 2:
        return mask.to(tokens.device).long()
    # One of more axes, or one for each kind of layer, says who sees whom, not what is padding; and where nothing is padded,
    # `generate` leaves the mask out.
    return tokens.new_ones(n_rows, n_before + n_new)


def _finite(multiplier: float | Float[Tensor, " batch"]) -> Float[Tensor, "*batch"]:
    values = torch.as_tensor(multiplier, dtype=torch.float32)
    if not values.isfinite().all():
        raise InputError(f"The multiplier {multiplier} is not finite. Pass a number, such as 2.0.")
    if values.ndim > 1:
        raise InputError(
            f"Multipliers of shape {tuple(values.shape)} came. Pass one number, or one for each row of the batch."
        )
    return values


def _of_rows(multiplier: Float[Tensor, "*batch"], n_rows: int, batch: TokenBatch | None) -> Float[Tensor, " rows"]:
    if multiplier.ndim > 0 and batch is not None and batch.row is not None:
        return multiplier[batch.row, None]
    if multiplier.ndim > 0 and len(multiplier) != n_rows:
        raise InputError(
            f"{len(multiplier)} multipliers came for a batch of {n_rows} rows. Pass one number, or one for each row."
        )
    return multiplier.expand(n_rows)
