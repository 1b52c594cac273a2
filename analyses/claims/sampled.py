"""Means over some of each pair's tokens, and what they leave open of the means over all of them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from .tokens import by_pair


@dataclass(frozen=True, eq=False)
class Sampled:
    """Of each pair, in rows of several quantities."""

    means: Float[ndarray, "k pairs"]
    error: Float[ndarray, "k pairs"]
    """Variance around the mean over all tokens of the pair; of one that was read whole, none."""

    @classmethod
    def of(
        cls, values: Float[ndarray, "k tokens"], token_pair: Int[ndarray, " tokens"], lengths: Int[ndarray, " pairs"]
    ) -> "Sampled":
        """From tokens; `lengths` says how many each pair has that has any here."""
        _, pair, counts = np.unique(token_pair, return_inverse=True, return_counts=True)
        means = by_pair(values, token_pair)
        within = np.square(values - means[:, pair]).sum(axis=1) / max(len(pair) - len(counts), 1)
        return cls(means, np.outer(within, np.maximum(1 / counts - 1 / lengths, 0)))

    def __getitem__(self, pairs: ndarray) -> "Sampled":
        return Sampled(self.means[:, pairs], self.error[:, pairs])

    def drawn(self, rng: np.random.Generator) -> Float[ndarray, "k pairs"]:
        """True means that could be behind these: what was measured as far as it is reliable, and luck for the rest."""
        middle = self.means.mean(axis=1, keepdims=True)
        spread = np.maximum(self.means.var(axis=1, keepdims=True) - self.error.mean(axis=1, keepdims=True), 0)
        total = spread + self.error
        reliable = np.divide(spread, total, out=np.ones_like(total), where=total > 0)
        luck = np.sqrt(spread * (1 - reliable)) * rng.standard_normal(self.means.shape[1])
        return middle + reliable * (self.means - middle) + luck
