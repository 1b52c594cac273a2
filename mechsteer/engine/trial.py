"""A trial: what an engine makes of a few texts, against each of them read whole and alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from ..interventions import SteeringVector
from ..interventions.relative_shift import STATISTICS
from ..models.model import Model
from ..models.prompts import EncodedPair
from ..models.sites import Site
from .base import Engine
from .plain import Plain
from .rounding import differ
from .rows import fork, n_tokens

MEDIAN = STATISTICS.index("median")


@dataclass(frozen=True, eq=False)
class Trial:
    """Pairs on a model, steered at a site by a vector half as large as what it is added to."""

    model: Model
    site: Site
    pairs: Sequence[EncodedPair]

    def fails(self, engine: Engine) -> bool:
        """Whether the engine gives other numbers than rounding explains."""
        return differ(self.model, self._losses(engine), self.expected, self._whole)

    @cached_property
    def expected(self) -> Float[ndarray, "all"]:
        return self._whole()

    @cached_property
    def vector(self) -> SteeringVector:
        direction = torch.randn(self.site.widths(self.model)[1], generator=torch.Generator().manual_seed(0))
        unit = SteeringVector(self.site, direction)
        shift = Plain(self.model).sweep(unit, self.pairs, np.ones(1), "all")[1][0, MEDIAN]
        return SteeringVector(self.site, direction * 0.5 / max(float(shift.mean()), 1e-6))

    def _whole(self) -> Float[ndarray, "all"]:
        return self._losses(Plain(self.model, alone=True))

    def _losses(self, engine: Engine) -> Float[ndarray, "all"]:
        found = [engine.sweep(self.vector, self.pairs, np.ones(1), where)[0] for where in ("all", "completion")]
        return np.stack(found).ravel()


def short_pairs(model: Model) -> list[EncodedPair]:
    """Two of unlike length."""
    return [random_pair(model, 3, 3, 7, 9), random_pair(model, 2, 3, 5, 4)]


def pair_like(model: Model, pair: EncodedPair) -> EncodedPair:
    """Random tokens in a pair's lengths."""
    drawn = random_pair(model, pair.begin, fork(pair), len(pair.positive), len(pair.negative))
    return replace(drawn, negative_begin=pair.negative_begin)


def random_pair(model: Model, begin: int, fork: int, n_positive: int, n_negative: int) -> EncodedPair:
    """Random tokens, alike up to `fork`."""
    draw = np.random.default_rng(begin)
    positive, negative = (draw.integers(model.d_vocab, size=n).tolist() for n in (n_positive, n_negative))
    negative[:fork] = positive[:fork]
    negative[fork] = (positive[fork] + 1) % model.d_vocab
    return EncodedPair(f"{n_positive}+{n_negative}", begin, tuple(positive), tuple(negative))


def longest(pairs: Sequence[EncodedPair]) -> list[EncodedPair]:
    """The pair whose row is longest, and the one that has the longest text."""
    return [max(pairs, key=n_tokens), max(pairs, key=lambda pair: max(len(pair.positive), len(pair.negative)))]
