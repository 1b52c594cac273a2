"""From log-odds back to losses: eqs. 7 and 8 turned round."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mechsteer.measuring.sweeps import Sweep
from mechsteer.store.keys import Key


def losses(
    preference: Float[ndarray, "m pairs"], utility: Float[ndarray, "m pairs"]
) -> tuple[Float[ndarray, "m pairs"], Float[ndarray, "m pairs"]]:
    """The losses of the positive and of the negative completion that have these log-odds."""
    log_either = -np.logaddexp(0, -utility)
    return np.logaddexp(0, -preference) - log_either, np.logaddexp(0, preference) - log_either


def sweep_of(
    multipliers: Float[ndarray, " m"],
    preference: Float[ndarray, "m pairs"],
    utility: Float[ndarray, "m pairs"],
    method: str = "SFT",
) -> Sweep:
    """The sweep with these log-odds; a multiplier is the relative shift."""
    n_pairs = preference.shape[1]
    tokens = np.ones(n_pairs, dtype=np.int64)
    return Sweep(
        multipliers, tuple(map(str, range(n_pairs))), *losses(preference, utility), tokens, tokens,
        np.abs(multipliers)[:, None] * np.ones((1, n_pairs)), Key(method, "vector", "add", "0:resid_post"),
    )  # fmt: skip
