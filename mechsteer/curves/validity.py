"""Validity decay: how well the network still decodes its activations under a multiplier (arXiv 2602.02343, eq. 12)."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from numpy import ndarray

Variant = Literal["printed", "matched", "plateau"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)


@dataclass(frozen=True)
class ValidityDecay:
    """D(m) = [1 + (m - centre)² / scale]^(-power), with a centre, a scale and a power on each side.

    - `printed`: one side is m < 0, the other m >= 0, as in eq. 12. D jumps at zero unless they happen to agree there.
    - `matched`: the same sides, which do agree at zero.
    - `plateau`: D is one between the centres, and decays from either outwards.
    """

    variant: Variant
    centre_negative: float
    scale_negative: float
    power_negative: float
    centre_positive: float
    scale_positive: float
    power_positive: float

    @property
    def split(self) -> float:
        """From where on the positive side rules."""
        return (self.centre_negative + self.centre_positive) / 2 if self.variant == "plateau" else 0.0

    def _side(self, multipliers: ndarray) -> tuple[ndarray, ndarray, ndarray]:
        positive = multipliers >= self.split
        distance = multipliers - np.where(positive, self.centre_positive, self.centre_negative)
        if self.variant == "plateau":
            distance = np.where(positive, np.maximum(distance, 0), np.minimum(distance, 0))
        scale = np.where(positive, self.scale_positive, self.scale_negative)
        return distance, scale, np.where(positive, self.power_positive, self.power_negative)

    def __call__(self, multipliers: Float[ndarray, "*m"]) -> Float[ndarray, "*m"]:
        """Validity, between zero and one."""
        distance, scale, power = self._side(multipliers)
        return (1 + distance**2 / scale) ** -power

    def slope(self, multipliers: Float[ndarray, "*m"]) -> Float[ndarray, "*m"]:
        """dD/dm, within a side."""
        distance, scale, power = self._side(multipliers)
        return -2 * power * distance / (scale + distance**2) * self(multipliers)

    def half_multipliers(self) -> tuple[float, float]:
        """The multipliers at which D has fallen to one half, below and above the split."""
        below = self.centre_negative - np.sqrt(self.scale_negative * np.expm1(np.log(2) / self.power_negative))
        above = self.centre_positive + np.sqrt(self.scale_positive * np.expm1(np.log(2) / self.power_positive))
        return float(min(below, self.split)), float(max(above, self.split))
