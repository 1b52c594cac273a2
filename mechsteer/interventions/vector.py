"""The steering vector: ΔW = 0, Δb = v."""

import math
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError
from ..models.sites import Site
from .base import Origin, Shift, uniform

NAME = "vector"
TITLE = "vector"
ORDER = 10
STYLE = {"colour": "#002B5B", "marker": "o", "line": "-"}


@final
@dataclass(frozen=True, eq=False)
class SteeringVector(Shift):
    """Adds m·v to every steered position. Vectors of one site add up and scale: `a + b`, `a - b`, `2 * a`, `-a`."""

    direction: Float[Tensor, " d_out"]

    form = NAME

    def delta(self, h: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        direction = self.direction.to(h.device)
        return direction.expand(*h.shape[:-1], len(direction))

    @classmethod
    def init(cls, site: Site, d_in: int, d_out: int, *, generator: torch.Generator | None = None) -> "SteeringVector":
        return cls(site, torch.zeros(d_out))

    @classmethod
    def init_wide(
        cls, site: Site, d_in: int, d_out: int, *, generator: torch.Generator | None = None
    ) -> "SteeringVector":
        return cls(site, uniform(d_out, bound=1 / math.sqrt(d_out), generator=generator))

    def units(self, size_in: float, size_out: float) -> dict[str, float]:
        return {"direction": size_out}

    def as_weights(self, d_in: int, d_out: int) -> tuple[Float[Tensor, "d_out d_in"], Float[Tensor, " d_out"]]:
        return torch.zeros(d_out, d_in), self.direction.float()

    def times(self, factor: float) -> "SteeringVector":
        return replace(self, direction=factor * self.direction)

    @property
    def widths(self) -> tuple[None, int]:
        return None, len(self.direction)

    def __add__(self, other: "SteeringVector") -> "SteeringVector":
        if other.site != self.site:
            raise InputError(
                f"A vector at {self.site} cannot be added to one at {other.site}. Nest two steer blocks instead."
            )
        if self.direction.shape != other.direction.shape:
            raise InputError(
                f"A vector of width {len(self.direction)} cannot be added to one of width {len(other.direction)}."
            )
        if str(self.rule) != str(other.rule):
            raise InputError(f"A vector that acts by {self.rule} cannot be added to one that acts by {other.rule}.")
        ours, theirs = self.origin, other.origin
        for said in ("positions", "prompt_format"):
            if (one := getattr(ours, said)) != (another := getattr(theirs, said)):
                raise InputError(
                    f"The vectors were learned with different {said}: {one} and {another}. Learn them with the same, or set the "
                    "origin of one."
                )
        if ours.fingerprint and theirs.fingerprint and ours.fingerprint != theirs.fingerprint:
            raise InputError(f"A vector made for {ours.model!r} cannot be added to one made for {theirs.model!r}.")
        return self._made_of(self.direction + other.direction, f"{ours.method} + {theirs.method}")

    def __mul__(self, scale: float) -> "SteeringVector":
        return self._made_of(scale * self.direction, f"{scale:g} * {self.origin.method}")

    def _made_of(self, direction: Float[Tensor, " d_out"], method: str) -> "SteeringVector":
        """A vector for the same model and use, but with a history of its own."""
        of_use = ("model", "revision", "fingerprint", "dtype", "positions", "prompt_format")
        kept = {name: getattr(self.origin, name) for name in of_use}
        return replace(self, direction=direction, origin=Origin(method=method, **kept))

    __rmul__ = __mul__

    def __neg__(self) -> "SteeringVector":
        return -1.0 * self

    def __sub__(self, other: "SteeringVector") -> "SteeringVector":
        return self + -other
