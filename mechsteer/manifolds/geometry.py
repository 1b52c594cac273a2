"""Geometry of a shift: from h to h + mΔh, along and off the manifold, around and away from the origin."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from ..brief import brief
from . import LocalTangent, Manifold


@dataclass(frozen=True, eq=False)
class ShiftGeometry:
    """What a shift did to each activation; `distances` are to each manifold, before and after, in its unit.

    (1 + radial)² + 1 - 2 (1 + radial) cos(angle) = relative_size², and along² + normal² = ‖shift‖².
    """

    relative_size: Float[ndarray, " n"]
    """‖shift‖ / ‖h‖."""
    angle: Float[ndarray, " n"]
    """Between h and the shifted h, in radians."""
    radial: Float[ndarray, " n"]
    """Growth of the norm, as a share of ‖h‖."""
    along: Float[ndarray, " n"]
    """Length within the tangent at h, in the activations' unit."""
    normal: Float[ndarray, " n"]
    """Length off the tangent at h."""
    distances: Mapping[str, tuple[Float[ndarray, " n"], Float[ndarray, " n"]]]

    __repr__ = brief

    def to_frame(self) -> pd.DataFrame:
        """One row per activation."""
        columns = {name: value for name, value in vars(self).items() if name != "distances"}
        for name, (before, after) in self.distances.items():
            columns |= {f"{name}_before": before, f"{name}_after": after}
        return pd.DataFrame(columns)


def shift_geometry(
    h: Float[ndarray, "n d"],
    shifted: Float[ndarray, "n d"],
    manifolds: Mapping[str, Manifold],
    tangent: LocalTangent,
) -> ShiftGeometry:
    """Compare activations at one layer with the same ones shifted, there by mΔh or before it.

    Where a LayerNorm reads the residual stream, pass all activations, those of the fits too, through `remove_ones`.
    """
    h, shifted = h.astype(np.float64), shifted.astype(np.float64)
    shift = shifted - h
    norm, norm_shifted = np.linalg.norm(h, axis=1), np.linalg.norm(shifted, axis=1)
    along, normal = tangent.split(h, shift)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit, unit_shifted = h / norm[:, None], shifted / norm_shifted[:, None]
        return ShiftGeometry(
            relative_size=np.linalg.norm(shift, axis=1) / norm,
            # Not arccos: it loses half of the digits of a small angle.
            angle=2
            * np.arctan2(np.linalg.norm(unit_shifted - unit, axis=1), np.linalg.norm(unit_shifted + unit, axis=1)),
            radial=(norm_shifted - norm) / norm,
            along=along,
            normal=normal,
            distances={name: (member.distance(h), member.distance(shifted)) for name, member in manifolds.items()},
        )


def remove_ones(h: Float[ndarray, "*batch d"]) -> Float[ndarray, "*batch d"]:
    """h less its part along (1, …, 1), which a LayerNorm subtracts; a model with RMSNorm reads it."""
    return h - h.mean(axis=-1, keepdims=True)


def projection_gain(delta: Float[ndarray, "n d"], weights: Float[ndarray, " d"]) -> Float[ndarray, " n"]:
    """α = ωᵀΔh: what a linear readout gains from each unit of the multiplier (arXiv 2602.02343, eqs. 13-17)."""
    return delta @ weights
