"""From log-odds back to losses: eqs. 7 and 8 turned round."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def losses(
    preference: Float[ndarray, "m pairs"], utility: Float[ndarray, "m pairs"]
) -> tuple[Float[ndarray, "m pairs"], Float[ndarray, "m pairs"]]:
    """The losses of the positive and of the negative completion that have these log-odds."""
    log_either = -np.logaddexp(0, -utility)
    return np.logaddexp(0, -preference) - log_either, np.logaddexp(0, preference) - log_either
