"""Utility under steering: validity decay alone, for steering hardly moves along it (arXiv 2602.02343, eq. 17)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .validity import ValidityDecay


@dataclass(frozen=True)
class UtilityCurve:
    """offset · D(m) + baseline, in nats."""

    offset: float
    baseline: float
    validity: ValidityDecay

    @staticmethod
    def columns(
        multipliers: Float[ndarray, " m"], validity: Float[ndarray, "*batch m"]
    ) -> Float[ndarray, "*batch m 2"]:
        """What offset and baseline are multiplied by."""
        return np.stack([validity, np.ones_like(validity)], axis=-1)

    def __call__(self, multipliers: Float[ndarray, " m"]) -> Float[ndarray, " m"]:
        """Utility log-odds (nats)."""
        return self.columns(multipliers, self.validity(multipliers)) @ [self.offset, self.baseline]

    def slope(self, multipliers: Float[ndarray, " m"]) -> Float[ndarray, " m"]:
        """Nats per unit of multiplier."""
        return self.offset * self.validity.slope(multipliers)
