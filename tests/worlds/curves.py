"""Steers whose curves are planted: every pair follows one curve, at a height and a scale of its own."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import expit

from analyses.evidence.evidence import Evidence, LayerActivations
from mechsteer.curves import PreferenceCurve, UtilityCurve, ValidityDecay
from mechsteer.measuring.sweeps import Sweep
from mechsteer.store.keys import Key

from .losses import losses

Planted = Callable[[ndarray], ndarray]
"""Log-odds at these multipliers, in the mean over all pairs there could be."""

GRID = np.concatenate([-np.geomspace(0.1, 8, 12)[::-1], [0.0], np.geomspace(0.1, 8, 12)])
SHIFT_PER_UNIT = 0.25
D = 6

DECAY = ValidityDecay(0.0, 0.0, 2.0, 1.5, 0.0, 3.0, 1.4)
PREFERENCE = PreferenceCurve(3.0, 0.5, 0.2, DECAY)
UTILITY = UtilityCurve(30.0, -45.0, DECAY)


def saturating(multipliers: ndarray) -> ndarray:
    """A line around zero that begins to level off."""
    return 3 * np.tanh(multipliers / 6)


def flat_at_zero(multipliers: ndarray) -> ndarray:
    """That line, but for its slope at zero, which has the other sign."""
    return saturating(multipliers) - 0.4 * np.tanh(multipliers / 0.3)


def bowl(multipliers: ndarray) -> ndarray:
    """A line on each side of zero, and none through it."""
    return np.abs(saturating(multipliers))


def jump(multipliers: ndarray) -> ndarray:
    """From one level to another between two multipliers."""
    return np.tanh(60 * multipliers)


def constant(multipliers: ndarray) -> ndarray:
    """Nothing changes."""
    return np.full_like(multipliers, -9.0)


def two_steps(multipliers: ndarray) -> ndarray:
    """Two logistic steps: no decay in them, and the second one is not over where the sweep ends."""
    return 12 * expit((multipliers + 3) / 0.9) + 8 * expit((multipliers - 4) / 1.2)


def hidden_step(multipliers: ndarray) -> ndarray:
    """Two logistic steps, of which half of the multipliers hardly show the second one."""
    return 12 * expit(multipliers + 1) + 8 * expit((multipliers - 7) / 0.8)


def even(multipliers: ndarray) -> ndarray:
    """The even part of eq. 15."""
    return PREFERENCE(multipliers) + PREFERENCE(-multipliers)


def odd(multipliers: ndarray) -> ndarray:
    """Its odd part, which no baseline and scale turns into the even one."""
    return PREFERENCE(multipliers) - PREFERENCE(-multipliers)


def sweep(
    preference: Planted = PREFERENCE, utility: Planted = UTILITY, *, n_pairs: int = 60, seed: int = 0,
    spread: float = 0.3, noise: float = 0.05, by_length: float = 0.0, method: str = "DiffMean",
) -> Sweep:  # fmt: skip
    """The sweep of these curves.

    Args:
        spread: of a pair's heights (nats), and of the scales on which it is moved, around one.
        noise: nats at each multiplier of each pair, which no curve explains.
        by_length: share of the heights' variance that is the length of the completions.
    """
    rng = np.random.default_rng([seed, 1])
    lengths = rng.integers(6, 14, (2, n_pairs))
    log_odds = []
    for curve, length, height, scale in zip(
        (preference, utility), (lengths[1] - lengths[0], -lengths.sum(axis=0)), *_of_pairs(n_pairs, seed), strict=True
    ):
        height = np.sqrt(by_length) * (length - length.mean()) / length.std() + np.sqrt(1 - by_length) * height
        at_zero = curve(np.zeros(1))
        moved = np.outer(curve(GRID) - at_zero, 1 + spread * scale)
        log_odds.append(at_zero + spread * height + moved + noise * rng.standard_normal(moved.shape))
    positive, negative = losses(*log_odds)
    return Sweep(
        GRID, tuple(f"pair {index}" for index in range(n_pairs)), positive, negative, lengths[0], lengths[1],
        np.abs(GRID)[:, None] * np.full(n_pairs, SHIFT_PER_UNIT),
        Key(method, "vector", "add", "1:resid_post", pairs="planted", weights="none"),
    )  # fmt: skip


def steer(
    preference: Planted = PREFERENCE, utility: Planted = UTILITY, *, learning: tuple[Planted, Planted] | None = None,
    projected: float = 1.0, n_pairs: int = 60, seed: int = 0, spread: float = 0.3, **settings: Any,
) -> Evidence:  # fmt: skip
    """Evidence of a steer with these curves.

    Args:
        learning: the curves of the learning pairs, by default the same.
        projected: ω_pᵀΔh as a share of the steer's slope at zero, in the mean over pairs.
        settings: of both sweeps.
    """
    settings |= {"n_pairs": n_pairs, "spread": spread}
    rng = np.random.default_rng([seed, 2])
    step = 1e-5
    slope = float(np.diff(preference(np.array([-step, step])))[0] / (2 * step))
    slopes = slope * (1 + spread * _of_pairs(n_pairs, seed)[1][0])
    along = np.eye(D)[0]
    delta = np.tile(along, (n_pairs, 1))
    elsewhere = rng.standard_normal((2, n_pairs, D)) * (1 - along)
    # A pair's own shift is not quite the mean one, so neither is what its gradient says of it.
    projections = projected * slopes * (1 + 0.1 * rng.standard_normal(n_pairs))

    token_pair = np.repeat(np.arange(n_pairs), 3)
    # Activations near a plane: what fills all directions has no manifold to lie off.
    base, learnt = (
        rng.standard_normal((n, D)) * np.array([0.05, 1, 1, 0.05, 0.05, 0.05]) for n in (len(token_pair), 200)
    )
    multipliers = GRID[[0, 6, -6, -1]]
    steered = base + multipliers[:, None, None] * along
    return Evidence(
        sweep=sweep(preference, utility, seed=seed, **settings),
        learning_sweep=sweep(*(learning or (preference, utility)), seed=seed + 10**6, **settings),
        multipliers=multipliers,
        token_pair=token_pair,
        layers={1: LayerActivations(*(part.astype(np.float32) for part in (learnt, base, steered)))},
        site_layer=1,
        delta=delta,
        gradient_preference=projections[:, None] * along + elsewhere[0],
        gradient_utility=elsewhere[1],
        slope_preference=slopes,
        slope_utility=np.zeros(n_pairs),
        has_layer_norm=False,
    )


def _of_pairs(n_pairs: int, seed: int) -> Float[ndarray, "2 quantities pairs"]:
    """Each pair's heights and scales, in units of their spread."""
    return np.random.default_rng(seed).standard_normal((2, 2, n_pairs))
