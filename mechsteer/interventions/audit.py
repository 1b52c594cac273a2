"""The audit of a steer: where it fired, at how many tokens, and how large its shifts were."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ..models.sites import Site
from .relative_shift import QUANTILES, TokenShifts, statistics


@dataclass(eq=False)
class SiteAudit:
    """What happened at one site; it grows with every forward inside the block. Shifts are relative: ‖shift‖/‖h‖."""

    site: Site
    seen: list[TokenShifts] = field(default_factory=list)
    """A part for each forward."""

    @property
    def n_forwards(self) -> int:
        return len(self.seen)

    @property
    def n_positions(self) -> int:
        """Token positions steered so far."""
        return sum(int(part.steered.sum()) for part in self.seen)

    @property
    def last(self) -> Float[Tensor, " batch"]:
        """The median of each row in the latest forward (relative_shift.py); 0 for a row without a steered token."""
        return statistics(self.seen[-1])[QUANTILES.index(0.5)] if self.seen else torch.zeros(0)

    @property
    def median_relative_shift(self) -> float:
        """Over all tokens so far, without those that begin a text and without sinks."""
        return self.quantile(0.5)

    def quantile(self, q: float) -> float:
        """Any other quantile of the same."""
        found = self._all(part.ordinary for part in self.seen)
        return float(found.quantile(q)) if len(found) else 0.0

    @property
    def mean_relative_shift(self) -> float:
        """Over all steered tokens; on real models a few of them rule it."""
        found = self._all(part.ratio for part in self.seen)
        return float(found.mean()) if len(found) else 0.0

    @property
    def max_relative_shift(self) -> float:
        """The largest of all steered tokens."""
        found = self._all(part.ratio for part in self.seen)
        return float(found.max()) if len(found) else 0.0

    def _all(self, parts: Iterable[Tensor]) -> Float[Tensor, " n"]:
        flat = [part.flatten().double().cpu() for part in parts]
        found = torch.cat([torch.zeros(0, dtype=torch.float64), *flat])
        return found[~found.isnan()]

    def __str__(self) -> str:
        return (
            f"{self.site.hook} (layer {self.site.layer} of 0-based blocks): {self.n_forwards} forwards, "
            f"{self.n_positions} positions, ‖shift‖/‖h‖ median {self.median_relative_shift:.3g} "
            f"({self.quantile(0.05):.3g} to {self.quantile(0.95):.3g}), mean {self.mean_relative_shift:.3g}, "
            f"largest {self.max_relative_shift:.3g}"
        )


@dataclass(frozen=True, eq=False)
class Audit:
    """The audit of every site of a steer. What it says of itself is of the site at which the shift is largest."""

    at: dict[Site, SiteAudit]

    @property
    def largest(self) -> SiteAudit:
        """Of the sites, that with the largest median so far."""
        return max(self.at.values(), key=lambda one: one.median_relative_shift)

    @property
    def n_forwards(self) -> int:
        return self.largest.n_forwards

    @property
    def n_positions(self) -> int:
        return self.largest.n_positions

    @property
    def last(self) -> Float[Tensor, " batch"]:
        return self.largest.last

    @property
    def median_relative_shift(self) -> float:
        return self.largest.median_relative_shift

    @property
    def mean_relative_shift(self) -> float:
        return self.largest.mean_relative_shift

    @property
    def max_relative_shift(self) -> float:
        return self.largest.max_relative_shift

    def __str__(self) -> str:
        return "\n".join(map(str, self.at.values()))
