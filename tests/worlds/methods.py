"""Studies of several methods, each with a gain that is planted."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mechsteer.measuring.sweeps import Sweep

from . import curves


def study(
    gains: Mapping[str, float], *, n_seeds: int = 1, seed_spread: float = 0.0, n_pairs: int = 200, seed: int = 0
) -> list[Sweep]:
    """A sweep for each method and training seed, of vectors that all cost the same utility, on the same pairs.

    Args:
        gains: by method, how many times as much preference as the planted curve has.
        seed_spread: of the gain over training seeds, as a share of it.
    """
    rng = np.random.default_rng([seed, 3])
    sweeps = []
    for method, gain in gains.items():
        for training_seed in range(n_seeds):
            # Each gain is a function of its own, so the loop's variable may not be read late.
            trained = float(gain * (1 + seed_spread * rng.standard_normal()))
            found = curves.sweep(
                lambda multipliers, trained=trained: trained * curves.saturating(multipliers), n_pairs=n_pairs,
                seed=int(rng.integers(2**31)), pairs_seed=seed, method=method,
            )  # fmt: skip
            is_trained = method not in ("DiffMean", "Random")
            sweeps.append(replace(found, key=replace(found.key, seed=training_seed if is_trained else None)))
    return sweeps
