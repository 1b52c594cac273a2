"""Validity decay: how well the network still decodes its activations under a multiplier (arXiv 2602.02343, eq. 12)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

Variant = Literal["continuous", "printed"]


@dataclass(frozen=True)
class ValidityDecay:
    """D(m) = [1 + (m - centre)² / scale]^(-power), with one branch below `split` and one from it on.

    As printed the split is at zero and each branch has a centre of its own, so D jumps there unless the branches happen
    to agree. In the continuous variant both branches share one centre, which is the split: they meet at D = 1.
    """

    split: float
    centre_negative: float
    scale_negative: float
    power_negative: float
    centre_positive: float
    scale_positive: float
    power_positive: float

    def _branch(self, multipliers: ndarray) -> tuple[ndarray, ndarray, ndarray]:
        positive = multipliers >= self.split
        centre = np.where(positive, self.centre_positive, self.centre_negative)
        scale = np.where(positive, self.scale_positive, self.scale_negative)
        return multipliers - centre, scale, np.where(positive, self.power_positive, self.power_negative)

    def __call__(self, multipliers: Float[ndarray, "*m"]) -> Float[ndarray, "*m"]:
        """Validity, between zero and one."""
        distance, scale, power = self._branch(multipliers)
        return (1 + distance**2 / scale) ** -power

    def slope(self, multipliers: Float[ndarray, "*m"]) -> Float[ndarray, "*m"]:
        """dD/dm, within the branch."""
        distance, scale, power = self._branch(multipliers)
        return -2 * power * distance / (scale + distance**2) * self(multipliers)

    def half_multipliers(self) -> tuple[float, float]:
        """The multipliers at which D has fallen to one half, below and above the split."""
        below = self.centre_negative - np.sqrt(self.scale_negative * np.expm1(np.log(2) / self.power_negative))
        above = self.centre_positive + np.sqrt(self.scale_positive * np.expm1(np.log(2) / self.power_positive))
        return float(min(below, self.split)), float(max(above, self.split))
