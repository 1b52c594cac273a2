"""Steers whose effects on utility and preference at m = 0 are planted, by the directions of readouts and activations."""

from dataclasses import replace

import numpy as np
from numpy import ndarray
from scipy.stats import beta

from analyses.evidence.evidence import Evidence, LayerActivations

from .manifold import READ, make

WIDTH = 64
N_LEARNING = 1000
SIZES = 0.35
"""Spread (of logarithms) of the pairs' own shifts: preference's slope then differs between pairs by 0.4 of its mean, as it
does on the guestbook."""
NOISE = 0.35
"""Of a pair's own gradient along every direction, as a share of ω_p: so much do utility's slopes differ between pairs of the
guestbook, beside preference's. A random direction moves utility by an eighth of ω_u's length."""
QUIET = 0.025
"""So little that 200 pairs tell an effect below 6 % of a random direction's, which is what makes a steer special, from more."""


def readouts(
    *,
    utility: float = 0.0,
    preference: float = 1.0,
    noise: float = NOISE,
    n_filled: int = WIDTH,
    within: float = 1.0,
    n_pairs: int = 200,
    seed: int = 0,
) -> Evidence:
    """One steer along the first axis, of length one in the mean over pairs.

    Args:
        utility: what a shift of length one along the steer does to utility, as a share of the length of ω_u that lies
            among the activations.
        preference: the same to preference, as a share of the length of ω_p, which is one.
        noise: of each pair's own gradient, along every direction.
        n_filled: directions that activations fill, all alike; they hardly vary along the others.
        within: length of ω_u among those directions; the rest of its length one lies in the others.
    """
    rng = np.random.default_rng([seed, 3])
    spread = np.where(np.arange(WIDTH) < n_filled, 1.0, 1e-3)
    learning, base = (rng.standard_normal((n, WIDTH)) * spread for n in (N_LEARNING, n_pairs))
    sizes = np.exp(SIZES * rng.standard_normal(n_pairs) - SIZES**2 / 2)
    delta = sizes[:, None] * np.eye(WIDTH)[0]
    filled, other = (_beside(rng, mask) for mask in (spread == 1, spread < 1))
    omega_utility = within * (utility * np.eye(WIDTH)[0] + np.sqrt(1 - utility**2) * filled)
    omega_utility += np.sqrt(1 - within**2) * other
    omega_preference = preference * np.eye(WIDTH)[0] + np.sqrt(1 - preference**2) * _beside(rng, spread > 0)
    gradient_utility, gradient_preference = (
        omega + noise * rng.standard_normal((n_pairs, WIDTH)) for omega in (omega_utility, omega_preference)
    )
    made = make(seed, n_pairs=n_pairs)
    return replace(
        made,
        token_pair=np.arange(n_pairs),
        token_id=np.zeros(n_pairs, int),
        token_position=np.zeros(n_pairs, int),
        learning_token_id=np.zeros(N_LEARNING, int),
        learning_token_position=np.zeros(N_LEARNING, int),
        layers={0: LayerActivations(learning, base, base + READ[:, None, None] * delta)},
        delta=delta,
        gradient_utility=gradient_utility,
        gradient_preference=gradient_preference,
        slope_utility=np.einsum("pd,pd->p", gradient_utility, delta),
        slope_preference=np.einsum("pd,pd->p", gradient_preference, delta),
    )


def _beside(rng: np.random.Generator, among: ndarray) -> ndarray:
    """A random direction among these axes and across the steer; nothing if there are none."""
    found = rng.standard_normal(WIDTH) * among
    found[0] = 0.0
    return found / max(float(np.linalg.norm(found)), np.finfo(float).tiny)


def by_rank(rank: float, **settings) -> Evidence:
    """Activations vary alike in all directions, of which this share move utility less than the steer does."""
    # So the square of a random direction's cosine with any other is distributed.
    return readouts(utility=float(np.sqrt(beta.ppf(rank, 0.5, (WIDTH - 1) / 2))), **settings)
