"""How large a shift is beside what it is added to: ‖shift‖/‖h‖, by token, and what says it of a text.

**The relative shift of a text is the median over its steered tokens**, without the token that begins the text and without
attention sinks, those whose ‖h‖ is more than five times the median of its steered tokens. On real models one such token is
hundreds of times as large as the rest, so that a few of them rule a mean, which is kept beside it, over all steered tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..brief import brief

SINK = 5.0
"""A token whose norm is so many times the median is a sink."""
QUANTILES = (0.05, 0.5, 0.95)
STATISTICS = ("low", "median", "high", "mean")
"""What is said of a text: those quantiles of its ordinary steered tokens, and the mean of all that are steered."""


@dataclass(frozen=True, eq=False)
class TokenShifts:
    """How long the shift is at each token and what it is added to; which tokens are steered, and which begin a text."""

    shift: Float[Tensor, "rows pos"]
    value: Float[Tensor, "rows pos"]
    steered: Bool[Tensor, "rows pos"]
    begins: Bool[Tensor, "rows pos"]

    __repr__ = brief

    @classmethod
    def of(
        cls,
        shift: Float[Tensor, "rows pos d_out"],
        value: Float[Tensor, "rows pos d_out"],
        steered: Bool[Tensor, "rows pos"],
        begins: Bool[Tensor, "rows pos"],
    ) -> "TokenShifts":
        """Norms in float32 or better."""
        norm = torch.linalg.vector_norm
        long, beside = (norm(tensor.detach().float(), dim=-1) for tensor in (shift, value))
        return cls(long, beside, steered.to(value.device), begins.to(value.device))

    def where(self, chosen: Bool[Tensor, "rows pos"]) -> "TokenShifts":
        """Only these tokens count as steered."""
        return TokenShifts(self.shift, self.value, self.steered & chosen.to(self.steered.device), self.begins)

    def rows(self, chosen: slice) -> "TokenShifts":
        return TokenShifts(self.shift[chosen], self.value[chosen], self.steered[chosen], self.begins[chosen])

    @staticmethod
    def join(parts: "Sequence[TokenShifts]") -> "TokenShifts":
        """The rows of all, filled up with tokens that are not steered."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return TokenShifts(
            *(pad_sequence([row for part in column for row in part], batch_first=True) for column in columns)
        )

    @property
    def ratio(self) -> Float[Tensor, "rows pos"]:
        """Of every steered token; NaN elsewhere. What is infinite counts as the largest number, so that quantiles are defined."""
        ratio = (self.shift / self.value.clamp(min=1e-30)).clamp(max=torch.finfo(self.shift.dtype).max)
        return torch.where(self.steered, ratio, torch.nan)

    @property
    def ordinary(self) -> Float[Tensor, "rows pos"]:
        """Of the steered tokens that neither begin their text nor are sinks; NaN elsewhere."""
        own = self.steered & ~self.begins
        median = torch.where(own, self.value, torch.nan).nanquantile(0.5, dim=1, keepdim=True)
        return torch.where(own & (self.value <= SINK * median), self.ratio, torch.nan)


def statistics(*texts: TokenShifts) -> Float[Tensor, "4 rows"]:
    """`STATISTICS` of each row, over the tokens of all these texts; 0 where none counts. The mean is that of the texts' means."""
    ordinary = torch.cat([text.ordinary for text in texts], dim=1)
    means = torch.stack([_or_zero(text.ratio.nanmean(dim=1)) for text in texts]).mean(dim=0)
    quantiles = ordinary.nanquantile(ordinary.new_tensor(QUANTILES), dim=1)
    return torch.cat([_or_zero(quantiles), means[None]])


def _or_zero(values: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    return torch.where(values.isnan(), 0.0, values)
