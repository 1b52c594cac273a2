"""A steer whose effects change by a planted share where norms are frozen: what `frozen_norms` compares, without a model."""

import numpy as np
import pandas as pd

from analyses.evidence.frozen_norms import N_PAIRS, SHARES
from mechsteer.store.keys import Key, labelled

GAIN, LOSS = 10.0, 0.5
"""Nats of preference gained, and of utility lost, at the ends of the useful range."""
SCALES = {"preference": 0.5, "utility": 1.5}
"""Spread of pairs' effects, beside the mean one, as on the guestbook."""
OWN = 0.1
"""Spread of what freezing changes of single pairs, beside the mean effect."""


def frozen(
    part: float = 0.0,
    *,
    other: float | None = None,
    own: float = OWN,
    sinks: float = 1.0,
    n_pairs: int = N_PAIRS,
    seed: int = 0,
) -> pd.DataFrame:
    """Freezing adds a share of the effect.

    Args:
        part: that share, in the mean over pairs.
        other: the same of utility.
        own: by how much more or less on single pairs, beside the mean effect.
        sinks: share of pairs, whose sinks rule their norms, on which all of it falls.
    """
    rng = np.random.default_rng([seed, 5])
    shares = np.array([0.0, *SHARES, *(-share for share in SHARES)])
    effects = {"preference": GAIN * shares, "utility": -LOSS * shares**2}
    table = pd.DataFrame(
        {"pair": np.tile([f"pair {index}" for index in range(n_pairs)], len(shares)),
         "multiplier": 2 * np.repeat(shares, n_pairs), "share": np.repeat(shares, n_pairs)}
    )  # fmt: skip
    for (name, effect), added in zip(effects.items(), (part, part if other is None else other), strict=True):
        height = 3 * rng.standard_normal(n_pairs) - 20 * (name == "utility")
        real = np.outer(effect, 1 + SCALES[name] * rng.standard_normal(n_pairs))
        ruled = rng.random(n_pairs) < sinks
        departure = np.outer(effect, added * ruled / sinks + own * rng.standard_normal(n_pairs))
        table = table.assign(**{name: (height + real).ravel(), f"{name}_frozen": (height + real + departure).ravel()})
    return labelled(table, Key("planted", "vector", "add", "1:resid_post", pairs="planted"))
