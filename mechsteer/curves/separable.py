"""Separable least squares: many small problems at once, searching only what is not linear (variable projection).

A form is a few coefficients times columns that depend on a few shape parameters. Given the shape, the coefficients are
a linear solve, so only the shape needs a search. The problems of a batch take their Levenberg-Marquardt steps together,
which is what makes many starts and a bootstrap cheap.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

Columns = Callable[[ndarray], ndarray]
"""From shapes [batch, shape] to columns [batch, m, linear]."""

GRADIENT_TOLERANCE = 1e-6
"""Largest cosine between the residual and any direction in which a shape parameter moves the curve."""
DECREASE_TOLERANCE = 1e-9
"""Smallest share of the squared error that a step must remove to be worth another. At 1e-7 descents end where they cross a
plateau: a curve of two logistic steps was then fitted as if it had one."""
EXACT = 1e-24
"""A squared error, as a share of the values', that is rounding."""
RANK_TOLERANCE = 1e-12
"""Columns that are shorter, as a share of the longest, beside all others span nothing."""
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


@dataclass(frozen=True, eq=False)
class _Points:
    """Shapes, and the best that coefficients can do there; the first axis of each is the batch."""

    shape: ndarray
    basis: ndarray
    """Orthonormal, of what the weighted columns span."""
    coefficients: ndarray
    residual: ndarray
    squared_error: ndarray

    def __getitem__(self, index: ndarray) -> "_Points":
        return _Points(*(part[index] for part in vars(self).values()))

    def __setitem__(self, index: ndarray, others: "_Points") -> None:
        for part, other in zip(vars(self).values(), vars(others).values(), strict=True):
            part[index] = other


def _spanned(columns: ndarray) -> tuple[ndarray, ndarray]:
    """An orthonormal basis of what each matrix's columns span, zero where they span less; and from it to their coefficients."""
    basis, lengths, turned = np.linalg.svd(columns, full_matrices=False)
    spans = lengths > RANK_TOLERANCE * lengths[:, :1]
    inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=spans)
    return basis * spans[:, None], turned.swapaxes(1, 2) * inverse[:, None]


def _evaluate(columns: Columns, shape: ndarray, values: ndarray, weights: ndarray) -> _Points:
    """Columns and residual are weighted; `values` are already."""
    basis, to_coefficients = _spanned(columns(shape) * weights[..., None])
    along = np.einsum("bmk,bm->bk", basis, values)
    residual = values - np.einsum("bmk,bk->bm", basis, along)
    coefficients = np.einsum("bkj,bj->bk", to_coefficients, along)
    return _Points(shape, basis, coefficients, residual, np.einsum("bm,bm->b", residual, residual))


def screen(
    columns: Columns,
    values: Float[ndarray, "batch m"],
    weights: Float[ndarray, " m"],
    candidates: Float[ndarray, "candidates shape"],
    keep: int,
) -> Float[ndarray, "batch kept shape"]:
    """For each problem, the candidates that explain it best as they stand; all problems share their weights."""
    weighted = values * weights
    basis, _ = _spanned(columns(candidates) * weights[:, None])
    # What lies along the columns is explained.
    explained = np.sum((weighted @ basis) ** 2, axis=2)
    order = np.argsort(-explained, axis=0, kind="stable")
    return candidates[order[:keep].T]


def _jacobian(columns: Columns, points: _Points, weights: ndarray) -> ndarray:
    """How the residual moves with the shape when the coefficients follow (Kaufman's approximation)."""
    batch, n_shape = points.shape.shape
    steps = DIFFERENCE_STEP * np.concatenate([np.eye(n_shape), -np.eye(n_shape)])
    around = columns((points.shape[:, None] + steps).reshape(-1, n_shape))
    after, before = around.reshape(batch, 2, n_shape, weights.shape[1], -1).swapaxes(0, 1)
    differences = (after - before) * (weights / (2 * DIFFERENCE_STEP))[:, None, :, None]
    moves = np.einsum("bsmk,bk->bms", differences, points.coefficients)
    return points.basis @ (points.basis.swapaxes(1, 2) @ moves) - moves


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
    identity = np.eye(len(bounds))
    # Those that are still on their way, and what is known of them.
    active = np.flatnonzero(~converged)
    here, theirs, seen, zero = points[active], values[active], weights[active], rounding[active]
    for _ in range(max_steps):
        if not len(active):
            break
        jacobian = _jacobian(columns, here, seen)
        gradient = np.einsum("bms,bm->bs", jacobian, here.residual)
        outward = ((here.shape <= lower) & (gradient > 0)) | ((here.shape >= upper) & (gradient < 0))
        if outward.any():
            jacobian = np.where(outward[:, None], 0, jacobian)
            gradient = np.where(outward, 0, gradient)
        curvature = jacobian.swapaxes(1, 2) @ jacobian
        diagonal = np.einsum("bss->bs", curvature)
        lengths = np.sqrt(diagonal * here.squared_error[:, None])
        stationary = np.all(np.abs(gradient) <= GRADIENT_TOLERANCE * lengths, axis=1)

        # A parameter that moves nothing, to rounding, stays where it is: any damping but zero will do.
        added = damping[active, None] * np.where(diagonal > zero[:, None], diagonal, 1)
        step = -np.linalg.solve(curvature + added[..., None] * identity, gradient[..., None])[..., 0]
        there = _evaluate(columns, np.clip(here.shape + step, lower, upper), theirs, seen)

        decrease = here.squared_error - there.squared_error
        better = decrease > 0
        negligible = better & (decrease <= DECREASE_TOLERANCE * here.squared_error)
        here[better] = there[better]
        damping[active] = np.where(better, np.maximum(damping[active] / 5, least_damping), damping[active] * 4)
        # Where no step descends, however short, the problem is at its minimum, to rounding.
        exhausted = damping[active] > greatest_damping
        rests = stationary | negligible | exhausted | (here.squared_error <= zero)
        if rests.any():
            points[active], converged[active] = here, rests
            go_on = ~rests
            active, here, theirs, seen, zero = active[go_on], here[go_on], theirs[go_on], seen[go_on], zero[go_on]
    points[active] = here
    return Solution(points.shape, points.coefficients, points.squared_error, converged)
