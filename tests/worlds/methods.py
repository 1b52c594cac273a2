"""Studies of several methods, each with a gain that is planted."""

from collections.abc import Mapping

import numpy as np

from mechsteer.measuring.sweeps import Sweep

from . import curves


def study(
    gains: Mapping[str, float], *, n_seeds: int = 1, seed_spread: float = 0.0, n_pairs: int = 60, seed: int = 0
) -> list[Sweep]:
    """A sweep for each method and training seed, of vectors that all cost the same utility.

    Args:
        gains: by method, how many times as much preference as the planted curve has.
        seed_spread: of the gain over training seeds, as a share of it.
    """
    rng = np.random.default_rng([seed, 3])
    sweeps = []
    for method, gain in gains.items():
        for _ in range(n_seeds):
            # Each gain is a function of its own, so the loop's variable may not be read late.
            trained = float(gain * (1 + seed_spread * rng.standard_normal()))
            sweeps.append(
                curves.sweep(
                    lambda multipliers, trained=trained: trained * curves.saturating(multipliers),
                    n_pairs=n_pairs,
                    seed=int(rng.integers(2**31)),
                    method=method,
                )
            )
    return sweeps
