"""Some tokens of a steer followed: how far they are taken from the manifold, and where to on the map, as in the claims.

Claims rest on all test pairs and many tokens. To look at, fewer do: the manifold and the map are those of the claims, from the
same learning tokens, and the intervals are as much wider as the pairs are fewer.
"""

from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from jaxtyping import Int
from numpy import ndarray

import mechsteer as ms
from mechsteer.engine.losses import pair_texts
from mechsteer.interventions import Intervention, Shift, SteeringVector
from mechsteer.manifolds import Manifold, Map
from mechsteer.measuring.sweeps import Sweep
from mechsteer.models.sites import write_sites
from mechsteer.store.keys import digest

from ..claims import activation_map
from ..claims.off_manifold import distance_table, growth_of, manifolds_of
from ..claims.tokens import by_pair, why_sparse
from .collection import N_LEARNING_TOKENS, draw_tokens, handled_well, later_layers, read_activations, seen_by, spread
from .evidence import LayerActivations, why_none

N_PAIRS = 40
"""As many as are followed on the map, a token each."""
N_TOKENS = 300
N_LATER_LAYERS = 2
N_MULTIPLIERS = 8


@dataclass(frozen=True, eq=False)
class LearningTokens:
    """Those that stand for the manifold, and the map of the site that is drawn from them."""

    tokens: Int[ndarray, "points 2"]
    """The text of each, positive ones first, and its place there."""
    map: Map | None
    because: str = ""
    """Why there is no map."""

    def save(self, folder: Path) -> None:
        np.savez(folder / "tokens.npz", allow_pickle=False, tokens=self.tokens, because=np.array(self.because))
        if self.map is not None:
            self.map.save(folder / "map.safetensors")

    @classmethod
    def load(cls, folder: Path) -> "LearningTokens":
        with np.load(folder / "tokens.npz", allow_pickle=False) as file:
            tokens, because = file["tokens"], str(file["because"])
        return cls(tokens, None if because else Map.load(folder / "map.safetensors"), because)


def learning_tokens(
    model: ms.Model, learning: ms.Pairs, site: ms.Site, prompt_format: str, seed: int
) -> LearningTokens:
    """The same tokens as in the evidence of any steer at the site: nothing is steered here."""
    nothing, encoded = SteeringVector.at(model, site), ms.encode_pairs(model, learning, prompt_format)
    unsteered = ms.run_sweep(
        model, nothing, learning, np.zeros(1), prompt_format=prompt_format, positions="all", progress=False
    )
    rng = np.random.default_rng(seed)
    tokens = draw_tokens(pair_texts(encoded), handled_well(unsteered), N_LEARNING_TOKENS, rng)
    (read,) = read_activations(model, nothing, "all", encoded, tokens, np.zeros(1), [site])
    points = seen_by(model)(read[0])
    because = why_sparse(points)
    return LearningTokens(tokens, None if because else activation_map.draw(points, seed), because)


def follow(
    model: ms.Model,
    intervention: Intervention,
    learning: ms.Pairs,
    testing: ms.Pairs,
    sweep: Sweep,
    known: LearningTokens,
    *,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """`distance` and `places`, as the claims' tables have them, from some tokens of some test pairs."""
    because = why_none(intervention.sites, str(intervention.rule)) or known.because
    if because or not isinstance(intervention, Shift) or known.map is None:
        raise ms.InputError(because)
    site, positions, prompt_format = intervention.site, sweep.key.positions, sweep.key.prompt_format
    rng = np.random.default_rng(seed)
    some = np.sort(rng.choice(len(testing), min(N_PAIRS, len(testing)), replace=False))
    encoded = ms.encode_pairs(model, ms.Pairs(tuple(testing[pair] for pair in some), testing.name), prompt_format)
    texts = pair_texts(encoded)
    tokens = draw_tokens(texts, np.ones(len(texts), dtype=bool), N_TOKENS, rng)
    token_pair = some[tokens[:, 0] % len(some)]
    multipliers = spread(sweep.multipliers, N_MULTIPLIERS)
    sites = [site, *(ms.Site(layer, "resid_post") for layer in later_layers(model, site.layer, N_LATER_LAYERS))]
    fitted = _fitted(model, learning, prompt_format, known.tokens, sites)
    tested = read_activations(model, intervention, positions, encoded, tokens, np.append(0.0, multipliers), sites)
    seen, distances, layers = seen_by(model), [], []
    for place, (points, manifolds), values in zip(sites, fitted, tested, strict=True):
        layers.append(read := LayerActivations(points, seen(values[0]), seen(values[1:])))
        growth = {name: by_pair(rows, token_pair) for name, rows in growth_of(read, manifolds).items()}
        distances.append(distance_table(multipliers, growth, seed).assign(layer=place.layer))
    counted = {"n_tokens": len(tokens), "n_pairs": len(np.unique(token_pair))}
    return {
        "distance": pd.concat(distances, ignore_index=True).assign(**counted),
        "places": activation_map.places(known.map, layers[0], token_pair, multipliers, sweep, seed),
    }


_Fitted = list[tuple[ndarray, dict[str, Manifold]]]
_LAST: WeakKeyDictionary[ms.Model, tuple[str, _Fitted]] = WeakKeyDictionary()


def _fitted(
    model: ms.Model, learning: ms.Pairs, prompt_format: str, tokens: Int[ndarray, "points 2"], sites: list[ms.Site]
) -> _Fitted:
    """Learning tokens and the manifolds fitted to them, at each site; kept for the next steer, which is most often there too."""
    asked = digest([learning.fingerprint, prompt_format, tokens.tolist(), write_sites(sites)])
    if model not in _LAST or _LAST[model][0] != asked:
        encoded, nothing = ms.encode_pairs(model, learning, prompt_format), SteeringVector.at(model, sites[0])
        read = read_activations(model, nothing, "all", encoded, tokens, np.zeros(1), sites)
        points = [seen_by(model)(values[0]) for values in read]
        _LAST[model] = asked, [(learnt, manifolds_of(learnt)) for learnt in points]
    return _LAST[model][1]
