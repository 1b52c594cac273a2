"""Steers whose curves are planted: pairs follow one curve, at a height and a scale of their own, and depart from it smoothly.

How much is as on the guestbook: `python benchmarks/verdicts.py --sizes STUDY` reads it from a finished study.
"""

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

_SIDE = np.concatenate([np.linspace(0.08, 0.64, 8), np.geomspace(0.64, 12, 13)[1:]])
GRID = np.concatenate([-_SIDE[::-1], [0.0], _SIDE])
"""Laid out as `find_multipliers` does: eight a side where about one nat of `UTILITY` is lost at most, the others to collapse."""
SHIFT_PER_UNIT = 0.25
D = 6
HEIGHTS = (0.8, 6.2)
"""Spread of pairs' unsteered preference and utility (nats)."""
SCALES = 0.4
"""Spread of the scales on which pairs are moved, around one."""
DEPARTURES = (0.75, 1.5)
"""Spread of what pairs are moved by beside their scales (nats), where the mean has moved by one nat; it grows as the root."""
REACH = 3.4
"""Multipliers over which departures keep together: neighbours correlate by 0.96, every fourth by 0.5."""
NOISE = 0.05
"""Nats at each multiplier of each pair that neighbours do not tell."""

DECAY = ValidityDecay("plateau", -0.2, 9.0, 1.9, 0.25, 11.0, 2.1)
PREFERENCE = PreferenceCurve(3.0, 0.5, 0.2, DECAY)
UTILITY = UtilityCurve(30.0, -50.0, DECAY)


def wide(multipliers: ndarray) -> ndarray:
    """A utility of which half a nat is lost at the ends of the sweep alone."""
    return -20 - 0.5 * (multipliers / GRID[-1]) ** 2


def waves(multipliers: ndarray) -> ndarray:
    """A rise in waves, which no curve of the paper's has, in the useful range and beyond it."""
    return 6 * np.arcsinh(multipliers) + 4 * np.sin(5 * np.arcsinh(multipliers / 0.3))


def falling_in_waves(multipliers: ndarray) -> ndarray:
    """The same as a utility that falls."""
    fall = UTILITY(multipliers)
    return fall + (0.1 + 0.3 * (UTILITY(np.zeros(1)) - fall)) * np.sin(5 * np.arcsinh(multipliers / 0.3))


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
    return 12 * expit((multipliers + 3) / 0.9) + 8 * expit((multipliers - 10) / 1.2)


def even(multipliers: ndarray) -> ndarray:
    """The even part of eq. 15."""
    return PREFERENCE(multipliers) + PREFERENCE(-multipliers)


def odd(multipliers: ndarray) -> ndarray:
    """Its odd part, which no baseline and scale turns into the even one."""
    return PREFERENCE(multipliers) - PREFERENCE(-multipliers)


def sweep(
    preference: Planted = PREFERENCE, utility: Planted = UTILITY, *, n_pairs: int = 200, seed: int = 0,
    pairs_seed: int | None = None, spread: float = SCALES, departures: float = 1.0,
    noise: float = NOISE, by_length: float = 0.0, method: str = "DiffMean",
) -> Sweep:  # fmt: skip
    """The sweep of these curves.

    Args:
        pairs_seed: of the pairs' heights and scales, by default the same; departures are each sweep's own.
        spread: of their scales; that of heights is in proportion.
        departures: as a share of the guestbook's.
        by_length: share of the heights' variance that is the length of the completions.
    """
    rng = np.random.default_rng([seed, 1])
    lengths = rng.integers(6, 14, (2, n_pairs))
    log_odds = []
    for curve, length, height, scale, spread_of_heights, departure in zip(
        (preference, utility), (lengths[1] - lengths[0], -lengths.sum(axis=0)),
        *_of_pairs(n_pairs, seed if pairs_seed is None else pairs_seed), HEIGHTS, DEPARTURES, strict=True,
    ):  # fmt: skip
        height = np.sqrt(by_length) * (length - length.mean()) / length.std() + np.sqrt(1 - by_length) * height
        at_zero = curve(np.zeros(1))
        moved = curve(GRID) - at_zero
        departed = departures * departure * np.sqrt(np.abs(moved))[:, None] * smooth(rng, n_pairs)
        own = np.outer(moved, 1 + spread * scale) + departed + noise * rng.standard_normal(departed.shape)
        log_odds.append(at_zero + spread / SCALES * spread_of_heights * height + own)
    positive, negative = losses(*log_odds)
    return Sweep(
        GRID, tuple(f"pair {index}" for index in range(n_pairs)), positive, negative, lengths[0], lengths[1],
        np.abs(GRID)[:, None] * np.full(n_pairs, SHIFT_PER_UNIT),
        Key(method, "vector", "add", "1:resid_post", pairs="planted", weights="none"),
    )  # fmt: skip


def steer(
    preference: Planted = PREFERENCE, utility: Planted = UTILITY, *, learning: tuple[Planted, Planted] | None = None,
    projected: float = 1.0, n_pairs: int = 200, seed: int = 0, spread: float = SCALES, **settings: Any,
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
        token_id=np.zeros(len(token_pair), int),
        token_position=np.zeros(len(token_pair), int),
        learning_token_id=np.zeros(len(learnt), int),
        learning_token_position=np.zeros(len(learnt), int),
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


def smooth(rng: np.random.Generator, n_pairs: int) -> Float[ndarray, "m pairs"]:
    """Of variance one at every multiplier, and alike at neighbours."""
    apart = np.subtract.outer(np.arange(len(GRID)), np.arange(len(GRID))) / REACH
    return np.linalg.cholesky(np.exp(-(apart**2) / 2) + 1e-8 * np.eye(len(GRID))) @ rng.standard_normal(
        (len(GRID), n_pairs)
    )
