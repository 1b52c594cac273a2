"""Chance levels: what directions from the activations' covariance, or learned from shuffled labels, gain beside a steer."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

import mechsteer as ms
from mechsteer.engine.activations import read_activations
from mechsteer.errors import InputError
from mechsteer.measuring.sweeping import sweep_encoded
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import useful_range

from ..claims.control import COVARIANCE, SHUFFLED, STEER
from .kept import kept

BUDGETS = (0.1, 0.25, 0.5)
"""Nats of utility that the steer itself loses at the three shifts, averaged over both directions."""
N_DIRECTIONS = 24
"""Directions of each kind: with fewer than twenty, their number alone makes a prediction interval wide."""
N_PAIRS = 32
"""Test pairs: the standard error of their mean is 0.18 standard deviations."""


def against_chance(
    model: ms.Model,
    steer: ms.Intervention,
    learning: ms.Pairs,
    testing: ms.Pairs,
    sweep: Sweep,
    *,
    seed: int = 0,
    parts: Path | None = None,
) -> pd.DataFrame:
    """A row for each direction, shift and test pair: half the difference in preference between +m and -m (nats).

    Directions are added at the steer's own site, at the three relative shifts where the steer loses a tenth, a quarter and half a
    nat. `gained` of the steer is measured on the same pairs. Labels are shuffled pair by pair: a coin decides which completion
    counts as positive, and DiffMean learns from that. The result is shorter than DiffMean of the true labels, and its shift is
    kept proportionally smaller. Rescaled to full length, a chance remnant of the concept would make up the whole shift.
    `relative_shift` is what was really applied to these pairs, by each direction, in the mean of +m and -m.

    Args:
        parts: a folder in which each direction is kept once measured, so that an interruption loses one of them.
    """
    if len(steer.sites) != 1:
        raise InputError("Chance is drawn at one site, and this steer acts at several. Judge each of its sites alone.")
    (site,) = steer.sites
    prompt_format = steer.origin.prompt_format
    drawn = testing.sample(min(N_PAIRS, len(testing)), seed=seed)
    encoded = ms.encode_pairs(model, drawn, prompt_format)
    directions = _directions(model, learning, site, prompt_format, np.random.default_rng([seed, 4]))
    shifts = np.array([sweep.shift_at(np.array(useful_range(sweep, budget))).mean() for budget in BUDGETS])
    rows = [_gains(model, steer, encoded, [sweep.multiplier_at(shift) for shift in shifts]).assign(kind=STEER, draw=0)]
    applied = rows[0].groupby("budget").relative_shift.first().loc[list(BUDGETS)].to_numpy()
    one = ms.SteeringVector(site, directions[COVARIANCE][0], origin=steer.origin)
    # Directions from the covariance have length one. Those from shuffled labels are in units of DiffMean's length.
    per_unit = sweep_encoded(model, one, encoded, [1.0], positions=steer.origin.positions).relative_shift.mean()
    for kind, vectors in directions.items():
        for draw, vector in enumerate(vectors):
            along = ms.SteeringVector(site, vector, origin=steer.origin)
            found = kept(
                parts, f"{kind} {draw}", lambda of=along: _gains(model, of, encoded, (applied / per_unit).tolist())
            )  # fmt: skip
            rows.append(found.assign(kind=kind, draw=draw))
    return pd.concat(rows, ignore_index=True)


def _gains(model: ms.Model, steer: ms.Intervention, encoded: list, multipliers: list[float]) -> pd.DataFrame:
    grid = [sign * m for m in multipliers for sign in (-1, 1)]
    found = sweep_encoded(model, steer, encoded, grid, positions=steer.origin.positions)
    rows = []
    for multiplier, budget in zip(multipliers, BUDGETS, strict=True):
        ends = [int(np.argmin(np.abs(found.multipliers - sign * multiplier))) for sign in (-1, 1)]
        gained = (found.preference[ends[1]] - found.preference[ends[0]]) / 2
        shift = float(found.relative_shift[ends].mean())
        rows.append(pd.DataFrame({"budget": budget, "relative_shift": shift, "pair": found.pairs, "gained": gained}))
    return pd.concat(rows, ignore_index=True)


def _directions(
    model: ms.Model, pairs: ms.Pairs, site: ms.Site, prompt_format: str, rng: np.random.Generator
) -> dict[str, list[Tensor]]:
    """Directions of each kind, from the activations of all completion tokens at the site, scaled to their relative size."""
    parts = list(read_activations(model, ms.encode_pairs(model, pairs, prompt_format), [site]))
    h = np.concatenate([part.at[site].double().cpu().numpy() for part in parts])
    pair = np.concatenate([part.pair.cpu().numpy() for part in parts])
    is_positive = np.concatenate([part.is_positive.cpu().numpy() for part in parts])
    drawn = rng.standard_normal((N_DIRECTIONS, len(h))) @ (h - h.mean(axis=0))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    swapped = rng.integers(2, size=(N_DIRECTIONS, len(pairs))).astype(bool)[:, pair]

    def diff_mean(counted: Bool[ndarray, "*draws tokens"]) -> Float[ndarray, "*draws d"]:
        sides = (counted, ~counted)
        return np.subtract(*(side @ h / side.sum(axis=-1, keepdims=True) for side in sides))

    shuffled = diff_mean(is_positive ^ swapped) / np.linalg.norm(diff_mean(is_positive))
    return {
        kind: list(torch.from_numpy(vectors).float()) for kind, vectors in ((COVARIANCE, drawn), (SHUFFLED, shuffled))
    }
