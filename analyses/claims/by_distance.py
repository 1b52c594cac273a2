"""Losses of utility that pairs' distances from the manifold alone decide, planted on what was measured of them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .sampled import Sampled


@dataclass(frozen=True, eq=False)
class ByDistance:
    """A study in which utility falls by pairs' true distances alone; pairs depart from that as they do here, each as another one
    does."""

    multipliers: Float[ndarray, " k"]
    distance: Sampled
    loss: Float[ndarray, "k pairs"]

    def drawn(self, rng: np.random.Generator) -> Float[ndarray, "k pairs"]:
        """What each pair loses in one such study."""
        expected = _by_distance(self.multipliers, self.distance.drawn(rng), self.loss)
        apart = self.loss - expected
        # What all pairs have in common under a multiplier is no departure of one of them.
        apart -= apart.mean(axis=1, keepdims=True)
        return expected + apart[:, rng.permutation(self.loss.shape[1])]


def _by_distance(
    multipliers: Float[ndarray, " k"], distance: Float[ndarray, "k pairs"], loss: Float[ndarray, "k pairs"]
) -> Float[ndarray, "k pairs"]:
    """What each pair would lose if its distance alone decided: on each side of zero, by straight lines through the means of all
    pairs, which begin at no distance and no loss. Where losses do not grow with distance, the larger is dealt to the further."""
    found = np.zeros_like(loss)
    for side in (multipliers < 0, multipliers > 0):
        if side.any():
            x, y = (np.append(0.0, np.sort(values[side].mean(axis=1))) for values in (distance, loss))
            y[1:] -= min(y[1], 0.0)
            # The last line goes on.
            far = max(2 * x[-1], float(distance.max()))
            y = np.append(y, y[-1] + (y[-1] - y[-2]) / max(x[-1] - x[-2], np.finfo(float).tiny) * (far - x[-1]))
            found[side] = np.interp(distance[side], np.append(x, far), y)
    return found
