"""Leading components, layer by layer: the spectrum of activations, and how much of a steer's shift lies off those that lead.

A shift may lie within the components that carry nearly all variance where it enters, and be carried off those of later layers
by what reads it. At each layer the components are those of the learning tokens that hold `LEADING` of the variance, once of
activations as they are, and once with every coordinate at unit variance: in many residual streams a massive coordinate or two
hold the share.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.manifolds import Subspace
from mechsteer.statistics.intervals import N_RESAMPLES, percentile_interval, resampled_means

from .directions import LEADING
from .evidence import Evidence

AS_IS, UNIT = "as they are", "coordinates at unit variance"
N_RANKS = 60
"""Of a spectrum, about evenly spaced on a logarithmic axis."""


def by_layer(evidence: Evidence) -> dict[str, pd.DataFrame]:
    """Two tables: `layers-spectrum` (shares of variance by rank) and `layers-shift` (the share of the shift's squared length that
    lies off the leading components, by multiplier, over pairs with its interval)."""
    spectra, shifts = [], []
    for layer, read in evidence.layers.items():
        for view, scale in ((AS_IS, np.ones(read.learning.shape[1])), (UNIT, _spread(read.learning))):
            leading = Subspace.fit(read.learning / scale, variance_explained=LEADING)
            about = {"layer": layer, "view": view, "n_leading": len(leading.components), "d_model": len(scale)}
            about |= {"enters": layer == evidence.site_layer}
            spectra.append(_spectrum(leading).assign(**about))
            shift = (read.steered - read.base) / scale
            shifts.append(_off(shift, leading.components, evidence).assign(**about))
    return {
        "layers-spectrum": pd.concat(spectra, ignore_index=True), "layers-shift": pd.concat(shifts, ignore_index=True)
    }  # fmt: skip


def _spread(points: Float[ndarray, "points d"]) -> Float[ndarray, " d"]:
    """Standard deviations of coordinates; one that does not vary is left as it is."""
    spread = points.std(axis=0, dtype=np.float64)
    return np.where(spread > 0, spread, 1.0)


def _spectrum(principal: Subspace) -> pd.DataFrame:
    share = principal.spectrum / principal.spectrum.sum()
    rank = np.unique(np.round(np.geomspace(1, len(share), N_RANKS)).astype(int))
    return pd.DataFrame({"rank": rank, "share": share[rank - 1]})


def _off(shift: Float[ndarray, "k tokens d"], components: Float[ndarray, "n d"], evidence: Evidence) -> pd.DataFrame:
    """Sums over tokens of squared lengths off the components and of all, one divided by the other; pairs are drawn again."""
    whole = np.square(shift).sum(axis=2)
    within = np.square(shift @ components.T).sum(axis=2)
    _, pair = np.unique(evidence.token_pair, return_inverse=True)
    off, of = (np.array([np.bincount(pair, row) for row in values]) for values in (whole - within, whole))
    rows = []
    for multiplier, some, all_of in zip(evidence.multipliers, off, of, strict=True):
        drawn = resampled_means(np.stack([some, all_of]), N_RESAMPLES, evidence.seed)
        share = percentile_interval(drawn[:, 0] / drawn[:, 1])
        rows.append((multiplier, some.sum() / all_of.sum(), share.low, share.high))
    return pd.DataFrame(rows, columns=["multiplier", "off", "low", "high"])
