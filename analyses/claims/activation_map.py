"""A map for looking at: the manifold in the plane, and the paths on which steering takes single tokens. No claim.

A map shows which activations a steered one resembles, never how far away it is; distances are in `off_manifold`.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from mechsteer.manifolds import Map
from mechsteer.measuring.sweeps import Sweep

from ..evidence.evidence import Evidence, LayerActivations
from .result import Result
from .tokens import too_sparse

NAME = "activation_map"
ORDER = 140
THEME = "mechanism"
SCOPE = "first"

N_KEPT = 1500
"""Points of the manifold on the map."""
N_PATHS = 40
"""Tokens that are followed, each of a pair of its own where there are as many."""


def run(evidence: Evidence) -> Result:
    """Places at the steered site: of the manifold's points (`token` is -1), and of tokens under each multiplier."""
    if (sparse := too_sparse(evidence, NAME, ())) is not None:
        return sparse
    site = evidence.layers[evidence.site_layer]
    drawn = draw(site.learning, evidence.seed)
    return Result(
        (), {"place": places(drawn, site, evidence.token_pair, evidence.multipliers, evidence.sweep, evidence.seed)}
    )


def draw(learning: Float[ndarray, "points d"], seed: int) -> Map:
    """The map of a site, from the tokens that stand for its manifold."""
    return Map.fit(learning, n_kept=N_KEPT, seed=seed)


def places(
    drawn: Map,
    site: LayerActivations,
    token_pair: Int[ndarray, " tokens"],
    multipliers: Float[ndarray, " k"],
    sweep: Sweep,
    seed: int,
) -> pd.DataFrame:
    """A row for each point of the map, and for each token that is followed under each multiplier and without."""
    order = np.random.default_rng(seed).permutation(len(token_pair))
    _, first = np.unique(token_pair[order], return_index=True)
    tokens = order[np.sort(first)[:N_PATHS]]
    background = pd.DataFrame(drawn.plane, columns=["x", "y"])
    tables = [background.assign(token=-1, multiplier=np.nan, utility_loss=np.nan)]

    zero = sweep.zero
    utility = sweep.utility[:, token_pair[tokens]]
    for multiplier, h in zip([0.0, *multipliers], [site.base, *site.steered], strict=True):
        row = int(np.argmin(np.abs(sweep.multipliers - multiplier)))
        placed = pd.DataFrame(drawn.place(h[tokens]), columns=["x", "y"])
        tables.append(placed.assign(token=tokens, multiplier=multiplier, utility_loss=utility[zero] - utility[row]))
    return pd.concat(tables, ignore_index=True)
