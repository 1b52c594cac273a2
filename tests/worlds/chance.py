"""What chance gains, and a steer that gains so many of its standard deviations more."""

import numpy as np
import pandas as pd

from analyses.claims.control import COVARIANCE, SHUFFLED, STEER
from analyses.evidence.chance import BUDGETS, N_DIRECTIONS
from mechsteer.store.keys import Key, labelled

KEY = Key("DiffMean", "vector", "add", "1:resid_post", pairs="planted", weights="none")
SPREADS = {COVARIANCE: (0.3, 0.5, 0.75), SHUFFLED: (0.11, 0.18, 0.24)}
"""Between directions, at each shift (nats), as on the guestbook; each gains alike at all, and pairs differ half as much."""
SHORTER = 0.2
"""Length of a direction of shuffled labels, in units of the steer's, in the mean."""


def chance(beyond: float, *, luck: float = 0.0, n_pairs: int = 32, seed: int = 0) -> pd.DataFrame:
    """Directions gain around nothing, and a steer `beyond` as many standard deviations of those by covariance.

    Args:
        luck: of the steer itself, in the same unit: at one, a steer with nothing beyond is one more direction by chance.
    """
    rng = np.random.default_rng(seed)
    places = {STEER: beyond + luck * rng.standard_normal(1)}
    places |= {kind: rng.standard_normal(N_DIRECTIONS) for kind in SPREADS}
    rows = []
    for kind, drawn in places.items():
        for step, (budget, spread) in enumerate(
            zip(BUDGETS, SPREADS.get(kind, SPREADS[COVARIANCE]), strict=True), start=1
        ):
            for draw, place in enumerate(drawn):
                gained = spread * (place + 0.5 * rng.standard_normal(n_pairs))
                length = SHORTER + 0.002 * draw if kind == SHUFFLED else 1.0
                about = {"kind": kind, "budget": budget, "relative_shift": 0.2 * step * length, "draw": draw}
                rows.append(pd.DataFrame(about | {"pair": [f"pair {i}" for i in range(n_pairs)], "gained": gained}))
    return labelled(pd.concat(rows, ignore_index=True), KEY)
