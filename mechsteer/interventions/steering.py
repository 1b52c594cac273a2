"""Steering: adding m·Δh at a site while a block of code runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import InputError
from ..models.model import Model
from ..models.positions import begins_with, steered
from ..models.sites import POSITIONS, Site
from .base import Intervention
from .shift import relative_size, scaled


@dataclass(eq=False)
class Audit:
    """Where a steer fired and how large it was; it grows with every forward inside the block.

    Relative shift is ‖mΔh‖/‖h‖ at the site, h being the value that was shifted.
    """

    site: Site
    n_forwards: int = 0
    last: Float[Tensor, " batch"] = field(default_factory=lambda: torch.zeros(0))
    """Mean relative shift of each row in the latest forward; 0 for a row without a steered position."""
    _totals: Float[Tensor, " 3"] = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))

    @property
    def n_positions(self) -> int:
        """Token positions steered so far."""
        return int(self._totals[0])

    @property
    def mean_relative_shift(self) -> float:
        return float(self._totals[1] / self._totals[0]) if self.n_positions else 0.0

    @property
    def max_relative_shift(self) -> float:
        return float(self._totals[2])

    def record(
        self,
        shift: Float[Tensor, "batch pos d_out"],
        value: Float[Tensor, "batch pos d_out"],
        steered: Bool[Tensor, "batch pos"],
    ) -> None:
        ratio = torch.where(steered, relative_size(shift, value), 0.0)
        count, total = reduce(steered.float(), "batch pos -> batch", "sum"), reduce(ratio, "batch pos -> batch", "sum")
        before = self._totals.to(ratio.device)
        self._totals = torch.stack([before[0] + count.sum(), before[1] + total.sum(), before[2].maximum(ratio.max())])
        self.last = total / count.clamp(min=1)
        self.n_forwards += 1

    def __str__(self) -> str:
        return (
            f"{self.site.hook} (layer {self.site.layer} of 0-based blocks): {self.n_forwards} forwards, "
            f"{self.n_positions} positions, ‖mΔh‖/‖h‖ mean {self.mean_relative_shift:.3g}, "
            f"largest {self.max_relative_shift:.3g}"
        )


@contextmanager
def steer(
    model: Model,
    intervention: Intervention,
    multiplier: float | Float[Tensor, " batch"],
    positions: str | Bool[Tensor, "batch pos"] | None = None,
    *,
    null_out: Bool[Tensor, " batch"] | None = None,
) -> Iterator[Audit]:
    """Add m·(ΔW h + Δb) at the intervention's site in every forward inside the block (arXiv 2602.02343, eq. 4).

    Args:
        multiplier: m, or one m for each row of the batch. At m = 0 the model is the base model, bit for bit.
        positions: by default those with which the intervention was learned, else "all": every token but the one that
            begins the text (BOS) and padding, as in the paper.
            "completion" is the completion's own tokens or those generated; the query's last token, which predicts the
            first of them, is not steered. "query" is the rest of "all". Or a mask of the batch's shape.
        null_out: rows in which the delta's direction d is taken out of the shifted value instead, whatever m is:
            h - relu(h·d)/‖d‖² d (RePS, arXiv 2505.20809).

    Steers nest: an inner one reads what the outer ones have made. Hooks never outlive the block.
    """
    site = intervention.site
    intervention.check_widths(model)
    chosen = intervention.origin.positions if positions is None else positions
    multiplier = _finite(multiplier)
    if isinstance(chosen, str) and chosen not in POSITIONS:
        raise InputError(f"positions={chosen!r} is unknown. Choose {', '.join(POSITIONS)}, or pass a mask.")
    audit = Audit(site)
    inputs: dict[str, Tensor | None] = {}

    def remember_inputs(module: object, args: tuple, kwargs: dict) -> None:
        inputs["tokens"] = kwargs["input_ids"] if "input_ids" in kwargs else args[0]
        # One of more axes, or one for each kind of layer, says who sees whom, not what is padding.
        mask = kwargs.get("attention_mask")
        inputs["attention_mask"] = mask if isinstance(mask, Tensor) and mask.ndim == 2 else None

    def shift(h: Float[Tensor, "batch pos d_in"], value: Float[Tensor, "batch pos d_out"]) -> Tensor:
        tokens, attention_mask = inputs["tokens"], inputs["attention_mask"]
        assert tokens is not None
        m = multiplier.expand(_rows(multiplier, tokens))
        where = _steered(model, tokens, attention_mask, chosen).to(value.device)
        active = rearrange(where, "batch pos -> batch pos 1")
        delta = intervention.delta(h)
        added = scaled(m, delta).masked_fill_(~active, 0.0)
        if null_out is not None:
            nulled = active & rearrange(null_out.to(value.device), "batch -> batch 1 1")
            added = torch.where(nulled, _projection(value, delta), added)
        audit.record(added, value, where)
        return added.to(value.dtype)

    handle = model.hf.register_forward_pre_hook(remember_inputs, with_kwargs=True)
    try:
        with model.hooks(site.hooks(shift)):
            yield audit
    finally:
        handle.remove()


def _projection(
    value: Float[Tensor, "batch pos d_out"], delta: Float[Tensor, "batch pos d_out"]
) -> Float[Tensor, "batch pos d_out"]:
    """What must be added to take the delta's direction out of the value, where it points that way."""
    along = torch.relu((value.to(delta.dtype) * delta).sum(dim=-1, keepdim=True))
    return -along / (delta**2).sum(dim=-1, keepdim=True).clamp(min=1e-20) * delta


def _finite(multiplier: float | Float[Tensor, " batch"]) -> Float[Tensor, "*batch"]:
    values = torch.as_tensor(multiplier, dtype=torch.float32)
    if not values.isfinite().all():
        raise InputError(f"The multiplier {multiplier} is not finite. Pass a number, such as 2.0.")
    return values


def _rows(multiplier: Float[Tensor, "*batch"], tokens: Int[Tensor, "batch pos"]) -> int:
    n_rows = tokens.shape[0]
    if multiplier.ndim > 0 and len(multiplier) != n_rows:
        raise InputError(
            f"{len(multiplier)} multipliers came for a batch of {n_rows} rows. Pass one number, or one for each row."
        )
    return n_rows


def _steered(
    model: Model,
    tokens: Int[Tensor, "batch pos"],
    attention_mask: Tensor | None,
    positions: str | Bool[Tensor, "batch pos"],
) -> Bool[Tensor, "batch pos"]:
    """Which of the forward's tokens are steered; with a cache, `tokens` are only the newest of the text."""
    n_rows, n_new = tokens.shape
    if isinstance(positions, Tensor):
        if positions.shape != tokens.shape:
            raise InputError(
                f"The mask of positions has shape {tuple(positions.shape)}, the batch {tuple(tokens.shape)}. "
                "Make them equal."
            )
        return positions.to(tokens.device)
    present = torch.ones_like(tokens) if attention_mask is None else attention_mask.to(tokens.device)
    index = torch.arange(present.shape[1], device=tokens.device)[-n_new:]
    begins = begins_with(model.bos_token, tokens, index == present.int().argmax(dim=1, keepdim=True))
    here = present[:, -n_new:].bool()
    if positions == "all":
        return steered(positions, present=here, begins=begins, is_completion=here)
    if model.batch is None:
        raise InputError(
            f"positions={positions!r} needs to know where the completion begins, and this forward did not say. "
            "Run it by model.logits or generate, or pass a mask."
        )
    read = model.batch.completion_mask.to(tokens.device)
    generated = torch.ones(len(read), max(0, present.shape[1] - read.shape[1]), dtype=torch.bool, device=tokens.device)
    completion = torch.cat([read, generated], dim=1)[:, index]
    # Beam search and several samples per prompt repeat the rows.
    completion = completion.repeat_interleave(n_rows // len(read), dim=0)
    return steered(positions, present=here, begins=begins, is_completion=completion)
