"""Ordinary text: where activations lie while the model reads it unsteered, and how far from there others lie."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..brief import brief
from ..engine.activations import text_activations
from ..errors import InputError
from ..manifolds.neighbours import Neighbours
from ..models.hooks import RESIDUAL
from ..models.model import Model
from ..models.others import unhooked
from ..models.sites import Site
from ..models.survey import all_sites

Text = tuple[Sequence[int], int]
"""Token ids, and the index at which its completion begins, before which nothing counts."""


@dataclass(frozen=True, eq=False)
class Ordinary:
    """What is ordinary at one site: some activations, and the median distance to them of other texts' activations."""

    manifold: Neighbours
    usual: float

    __repr__ = brief

    @classmethod
    def fit(cls, learned: Float[ndarray, "learned d"], judged: Float[ndarray, "judged d"]) -> "Ordinary":
        """From activations of different texts: those of one text lie close to each other."""
        manifold = Neighbours.fit(learned)
        return cls(manifold, float(np.median(manifold.distance(judged))))

    def distance(self, h: Float[ndarray, "n d"]) -> Float[ndarray, " n"]:
        """Mean distance to the nearest ordinary activations over the usual one: 1 is ordinary. NaN where h is not finite."""
        is_finite = np.isfinite(h).all(axis=1)
        found = np.full(len(h), np.nan)
        if is_finite.any():
            found[is_finite] = self.manifold.distance(h[is_finite]) / self.usual
        return found


@dataclass(frozen=True, eq=False)
class OrdinaryText:
    """Texts that are tokenized and read once somebody asks how far an activation lies from theirs, once for each site."""

    model: Model
    texts: Callable[[], tuple[Sequence[Text], Sequence[Text]]]
    """Those that are learned from, and others by which a distance is called ordinary."""
    _known: dict[Site, Ordinary | None] = field(default_factory=dict)

    def at(self, site: Site) -> Ordinary | None:
        """At the residual stream, where what is added at the site arrives; None where the model has none there or reads too
        little of the texts."""
        if site not in self._known:
            self._known[site] = None
            if site in all_sites(self.model, (site.place,)):
                with suppress(InputError), unhooked(self.model):
                    self._known[site] = Ordinary.fit(*(self._read(texts, site) for texts in self._texts))
        return self._known[site]

    @cached_property
    def _texts(self) -> tuple[Sequence[Text], Sequence[Text]]:
        return self.texts()

    def _read(self, texts: Sequence[Text], site: Site) -> Float[ndarray, "points d"]:
        """Activations from which the tokens of the completions are predicted, as those are from which a token is written."""
        before = [(ids[:-1], begin - 1) for ids, begin in texts]
        parts = [at[site].float().cpu().numpy() for at, _ in text_activations(self.model, before, [site])]
        if not parts:
            raise InputError("No text came. Pass some that the model reads.")
        return np.concatenate(parts)


def residual(site: Site) -> Site:
    """Where in the residual stream what is added at a site arrives."""
    return replace(site, place=RESIDUAL.get(site.place, site.place))
