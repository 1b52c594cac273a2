"""What a steer is credited with, a random direction of equal size does not show.

The control steers along a random direction, as long as the DiffMean vector at the same site and turned to its side. Judged on
the area under the frontier, which does not depend on any scale of the multiplier.
"""

from collections.abc import Sequence

import numpy as np

from mechsteer.claims import Claim, judge
from mechsteer.statistics import percentile_interval
from mechsteer.sweeps import Sweep

from . import comparison
from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "random_control"
METHOD = "Random"
SHARE = 0.25
"""Of the steer's gain: a direction that does a quarter of its work by chance leaves three quarters to be explained."""


def run(sweeps: Sequence[Sweep], pairs: str, seed: int = 0) -> Result:
    """A claim for each method and form; none where the study has no random direction. `pairs` names the test pairs."""
    found = comparison.frontiers(sweeps, seed)
    random = found.pop((METHOD, "vector"), None)
    if random is None:
        return Result(())
    n_pairs = int(np.all([np.isfinite(sweep.utility).all(axis=0) for sweep in sweeps], axis=0).sum())
    claims = []
    for (method, form), steer in found.items():
        subject = f"{method} {form} at {sweeps[0].layer}:{sweeps[0].place} on {pairs}"
        if n_pairs < MIN_PAIRS:
            claims.append(undecided(NAME, subject, "share", too_few(n_pairs), "a random direction"))
            continue
        # A steer that gains nothing has no credit to share.
        shares = np.abs(random.area_samples) / np.maximum(steer.area_samples, 1e-9)
        interval = percentile_interval(shares)
        because = (
            f"A random direction gains {random.area:.3g} nats of preference on average where {method} gains "
            f"{steer.area:.3g}; at most {SHARE:g} of it may be chance."
        )
        estimate = abs(random.area) / max(steer.area, 1e-9)
        outcome = judge(interval, (0.0, SHARE))
        claims.append(Claim(NAME, subject, estimate, "share", interval, "a random direction", outcome, because))
    return Result(tuple(claims))
