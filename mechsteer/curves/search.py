"""The search for the best curve of a form: descents from many candidates, for all points or with a block of them held out."""

from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.interpolate import PchipInterpolator

from ..statistics.intervals import N_BLOCKS, contiguous_blocks
from .forms import Form
from .separable import MAX_STEPS, Solution, minimise, screen

N_STARTS = 32
"""Half as many missed the best sum of two logistic steps in three worlds of twelve."""
STARTS_PER_BLOCK = 4
"""For so many starts on all points, one without a block of them."""
CANDIDATES_PER_START = 32
SCOUT_STEPS, N_KEPT = 40, 4
"""All starts take so many steps; the lowest few go on until they come to rest."""


def descend(
    form: Form, multipliers: Float[ndarray, " m"], mean: Float[ndarray, " m"], weights: Float[ndarray, "problems m"],
    n_starts: int, seed: int, also: Float[ndarray, "more shape"] | None = None,
) -> Solution:  # fmt: skip
    """For each way of weighting the points, descents from the best of many candidates, and from others; the lowest come first."""
    columns = partial(form.columns, multipliers)
    candidates = form.candidates(n_starts * CANDIDATES_PER_START, seed)
    starts = [screen(columns, mean[None], seen, candidates, n_starts)[0] for seen in weights]
    if also is not None:
        starts = [np.concatenate([some, also]) for some in starts]

    def lower(starts: list[ndarray], max_steps: int) -> Solution:
        """Where these lead; for each problem in turn, the lowest first."""
        sizes = [len(some) for some in starts]
        many = np.repeat(weights, sizes, axis=0)
        values = np.broadcast_to(mean, many.shape)
        solution = minimise(columns, values, np.concatenate(starts), form.bounds, many, max_steps)
        return solution[np.lexsort((solution.squared_error, np.repeat(np.arange(len(weights)), sizes)))]

    scouts = np.split(lower(starts, SCOUT_STEPS).shape, len(weights))
    return lower([some[:N_KEPT] for some in scouts], MAX_STEPS)


def follow(
    form: Form, multipliers: Float[ndarray, " m"], means: Float[ndarray, "curves m"], weights: Float[ndarray, "problems m"],
    ends: Float[ndarray, "problems ends shape"],
) -> Solution:  # fmt: skip
    """For each way of weighting the points one descent for each of many curves, from whichever of these ends suits it best."""
    columns = partial(form.columns, multipliers)
    starts = [screen(columns, means, seen, own, 1)[:, 0] for seen, own in zip(weights, ends, strict=True)]
    values, many = np.tile(means, (len(weights), 1)), np.repeat(weights, len(means), axis=0)
    return minimise(columns, values, np.concatenate(starts), form.bounds, many)


def predict_blocks(
    form: Form, multipliers: Float[ndarray, " m"], means: Float[ndarray, "curves m"], weights: Float[ndarray, " m"],
    known: Solution, n_starts: int, seed: int,
) -> Float[ndarray, "curves m"]:  # fmt: skip
    """What fits to all other blocks predict of each; NaN where one did not converge.

    The first curve leads the search, which also begins where descents on all its points ended, from `n_starts`: without a block
    the best fit lies elsewhere, but seldom far.
    """
    held_out = contiguous_blocks(len(multipliers)) == np.arange(N_BLOCKS)[:, None]
    seen = np.where(held_out, 0.0, weights)
    fewer = max(1, n_starts // STARTS_PER_BLOCK)
    led = descend(form, multipliers, means[0], seen, fewer, seed, also=known.shape[:fewer])
    solved = follow(form, multipliers, means, seen, np.stack(np.split(led.shape, N_BLOCKS)))
    found = np.einsum("bmk,bk->bm", form.columns(multipliers, solved.shape), solved.coefficients)
    found = np.where(solved.converged[:, None], found, np.nan).reshape(N_BLOCKS, *means.shape)
    return np.einsum("bm,bcm->cm", held_out, np.where(held_out[:, None], found, 0.0))


def spline_blocks(multipliers: Float[ndarray, " m"], means: Float[ndarray, "curves m"]) -> Float[ndarray, "curves m"]:
    """The same by a monotone cubic through all other blocks, which stays level beyond them."""
    blocks, predicted = contiguous_blocks(len(multipliers)), np.empty(means.shape)
    for block in range(N_BLOCKS):
        seen = blocks != block
        within = np.clip(multipliers[~seen], multipliers[seen][0], multipliers[seen][-1])
        predicted[:, ~seen] = PchipInterpolator(multipliers[seen], means[:, seen], axis=1)(within)
    return predicted
