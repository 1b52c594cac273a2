"""Separable least squares: many small problems at once, searching only what is not linear (variable projection).

A form is a few coefficients times columns that depend on a few shape parameters. Given the shape, the coefficients are
a linear solve, so only the shape needs a search. The problems of a batch take their Levenberg-Marquardt steps together,
which is what makes many starts and a bootstrap cheap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from einops import rearrange
from jaxtyping import Bool, Float
from numpy import ndarray

Columns = Callable[[ndarray], ndarray]
"""From shapes [batch, shape] to columns [batch, m, linear]."""

GRADIENT_TOLERANCE = 1e-6
"""Largest cosine between the residual and any direction in which a shape parameter moves the curve."""
DECREASE_TOLERANCE = 1e-9
"""Smallest share of the squared error that a step must remove to be worth another."""
EXACT = 1e-24
"""A squared error, as a share of the values', that is rounding."""
MAX_STEPS = 1000
DIFFERENCE_STEP = 1e-5
DAMPING = (1e-10, 1e-2, 1e12)
"""Least, first and greatest damping of a step."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Where each problem of a batch ended."""

    shape: Float[ndarray, "batch shape"]
    coefficients: Float[ndarray, "batch linear"]
    squared_error: Float[ndarray, " batch"]
    converged: Bool[ndarray, " batch"]

    def __getitem__(self, index: ndarray) -> "Solution":
        return Solution(self.shape[index], self.coefficients[index], self.squared_error[index], self.converged[index])


class _Points(NamedTuple):
    """Shapes, and the best that coefficients can do there; the first axis of each is the batch."""

    shape: ndarray
    columns: ndarray
    inverse: ndarray
    coefficients: ndarray
    residual: ndarray
    squared_error: ndarray


_pseudo_inverse = partial(np.linalg.pinv, rcond=1e-12)


def _evaluate(columns: Columns, shape: ndarray, values: ndarray, weights: ndarray) -> _Points:
    """Columns and residual are weighted; `values` are already."""
    at_shape = columns(shape) * weights[..., None]
    inverse = _pseudo_inverse(at_shape)
    coefficients = np.einsum("bkm,bm->bk", inverse, values)
    residual = values - np.einsum("bmk,bk->bm", at_shape, coefficients)
    return _Points(shape, at_shape, inverse, coefficients, residual, np.sum(residual**2, axis=1))


def screen(
    columns: Columns,
    values: Float[ndarray, "batch m"],
    weights: Float[ndarray, " m"],
    candidates: Float[ndarray, "candidates shape"],
    keep: int,
) -> Float[ndarray, "batch kept shape"]:
    """For each problem, the candidates that explain it best as they stand; all problems share their weights."""
    weighted, at_shape = (values * weights).T, columns(candidates) * weights[:, None]
    residual = weighted - at_shape @ (_pseudo_inverse(at_shape) @ weighted)
    order = np.argsort(np.sum(residual**2, axis=1), axis=0, kind="stable")
    return candidates[order[:keep].T]


def _jacobian(columns: Columns, points: _Points, weights: ndarray) -> ndarray:
    """How the residual moves with the shape when the coefficients follow (Kaufman's approximation)."""
    shape = points.shape[:, None]
    step = DIFFERENCE_STEP * np.eye(shape.shape[-1])
    around = rearrange([shape + step, shape - step], "sign batch step shape -> (sign batch step) shape")
    after, before = rearrange(
        columns(around), "(sign batch step) m linear -> sign batch step m linear", sign=2, batch=len(shape)
    )
    moves = (
        np.einsum("bsmk,bk->bms", (after - before) / (2 * DIFFERENCE_STEP), points.coefficients) * weights[..., None]
    )
    return points.columns @ (points.inverse @ moves) - moves


def minimise(
    columns: Columns,
    values: Float[ndarray, "batch m"],
    starts: Float[ndarray, "batch shape"],
    bounds: Float[ndarray, "shape 2"],
    weights: Float[ndarray, "batch m"] | None = None,
    max_steps: int = MAX_STEPS,
) -> Solution:
    """Descend from every start, within the bounds, until its problem has converged or has used up its steps.

    Each problem's residual is weighted by `weights`, by default one; at a weight of zero a point is not seen.
    """
    lower, upper = bounds.T
    weights = np.ones(values.shape) if weights is None else weights
    values = values * weights
    least_damping, first_damping, greatest_damping = DAMPING
    points = _evaluate(columns, np.clip(starts, lower, upper), values, weights)
    rounding = EXACT * np.sum(values**2, axis=1)
    converged = (points.squared_error <= rounding) | (len(bounds) == 0)
    damping = np.full(len(starts), first_damping)
    for _ in range(max_steps):
        active = np.flatnonzero(~converged)
        if not len(active):
            break
        here = _Points(*(part[active] for part in points))
        jacobian = _jacobian(columns, here, weights[active])
        gradient = np.einsum("bms,bm->bs", jacobian, here.residual)
        outward = ((here.shape <= lower) & (gradient > 0)) | ((here.shape >= upper) & (gradient < 0))
        jacobian = np.where(outward[:, None], 0, jacobian)
        gradient = np.where(outward, 0, gradient)
        lengths = np.linalg.norm(jacobian, axis=1) * np.sqrt(here.squared_error)[:, None]
        stationary = np.all(np.abs(gradient) <= GRADIENT_TOLERANCE * lengths, axis=1)

        curvature = np.einsum("bms,bmt->bst", jacobian, jacobian)
        diagonal = np.einsum("bss->bs", curvature)
        # A parameter that moves nothing, to rounding, stays where it is: any damping but zero will do.
        added = damping[active, None] * np.where(diagonal > rounding[active, None], diagonal, 1)
        damped = curvature + added[..., None] * np.eye(len(bounds))
        step = -np.linalg.solve(damped, gradient[..., None])[..., 0]
        there = _evaluate(columns, np.clip(here.shape + step, lower, upper), values[active], weights[active])

        decrease = here.squared_error - there.squared_error
        better = decrease > 0
        for part, moved in zip(points, there, strict=True):
            part[active[better]] = moved[better]
        damping[active] = np.where(better, np.maximum(damping[active] / 5, least_damping), damping[active] * 4)
        negligible = better & (decrease <= DECREASE_TOLERANCE * here.squared_error)
        # Where no step descends, however short, the problem is at its minimum, to rounding.
        exhausted = damping[active] > greatest_damping
        exact = points.squared_error[active] <= rounding[active]
        converged[active] = stationary | negligible | exhausted | exact
    return Solution(points.shape, points.coefficients, points.squared_error, converged)
