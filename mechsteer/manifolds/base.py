"""What every manifold is: the set near which well-handled activations lie (arXiv 2602.02343, assumption 4.1)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import DTypeLike

from ..brief import brief
from ..errors import InputError
from ..families import MANIFOLDS
from .saving import load_value, save_value
from .stream import Points


@dataclass(frozen=True, eq=False)
class Manifold(ABC):
    """Fitted to activations of inputs that the model handles well; which tokens these are is the caller's choice.

    Exact repeats among the activations count once, and `n_duplicates` says how many were dropped.
    """

    n_points: int = field(kw_only=True)
    n_duplicates: int = field(kw_only=True)

    unit: ClassVar[str]
    """What a distance is measured in: "activation" (as the activations are) or "standard deviations"."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.__repr__ = brief  # before `dataclass`, which then writes none of its own

    @classmethod
    @abstractmethod
    def fit(cls, activations: Points) -> "Manifold":
        """The manifold of these activations: one array, or batches of a stream."""

    @abstractmethod
    def distance(self, h: Float[ndarray, "n d"]) -> Float[ndarray, " n"]:
        """How far each activation lies from the manifold, in `unit`."""

    @abstractmethod
    def nearest(self, h: Float[ndarray, "n d"]) -> Float[ndarray, "n d"]:
        """The point of the manifold that is nearest to each activation."""

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file."""
        return save_value(self, path)


def load_manifold(path: str | Path) -> Manifold:
    """Read whichever member was saved."""
    return load_value(path, {name: partial(MANIFOLDS.load, name) for name in MANIFOLDS.members()})


def from_centre(
    h: Float[ndarray, "n d"], centre: Float[ndarray, " d_fit"], dtype: DTypeLike = np.float64
) -> Float[ndarray, "n d"]:
    """h - centre, subtracted in float64, where a large offset of both costs no digits, and rounded to `dtype` then."""
    if h.shape[1] != len(centre):
        raise InputError(
            f"These activations have width {h.shape[1]}, but those of the fit had {len(centre)}. "
            "Pass activations of the site that it was made for."
        )
    return np.subtract(h, centre, out=np.empty(h.shape, dtype), dtype=np.float64, casting="same_kind")
