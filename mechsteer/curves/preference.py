"""Preference under steering: projection gain times validity decay (arXiv 2602.02343, eq. 15)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .validity import ValidityDecay


@dataclass(frozen=True)
class PreferenceCurve:
    """(gain · m + offset) · D(m) + baseline, in nats."""

    gain: float
    offset: float
    baseline: float
    validity: ValidityDecay

    @staticmethod
    def columns(
        multipliers: Float[ndarray, " m"], validity: Float[ndarray, "*batch m"]
    ) -> Float[ndarray, "*batch m 3"]:
        """What gain, offset and baseline are multiplied by."""
        return np.stack([multipliers * validity, validity, np.ones_like(validity)], axis=-1)

    def __call__(self, multipliers: Float[ndarray, " m"]) -> Float[ndarray, " m"]:
        """Preference log-odds (nats)."""
        return self.columns(multipliers, self.validity(multipliers)) @ [self.gain, self.offset, self.baseline]

    def slope(self, multipliers: Float[ndarray, " m"]) -> Float[ndarray, " m"]:
        """Nats per unit of multiplier."""
        projection = self.gain * multipliers + self.offset
        return self.gain * self.validity(multipliers) + projection * self.validity.slope(multipliers)
