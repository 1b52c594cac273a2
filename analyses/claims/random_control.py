"""What a steer is credited with, a random direction of equal size does not show.

The control steers along a random direction, as long as the DiffMean vector at the same site and turned to its side. Judged on
the area under the frontier, which does not depend on any scale of the multiplier.
"""

from collections.abc import Sequence

import numpy as np

from mechsteer.measuring.frontier import defined_everywhere
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.intervals import percentile_interval
from mechsteer.statistics.judging import Claim, judge

from ..evidence import comparison
from ..evidence.comparison import over_seeds
from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "random_control"
ORDER = 120
SCOPE = "study"
NEEDS = "sweeps"
ACROSS = True
TITLES = {"": "A random direction gains next to nothing"}
FIGURE = "random_control"
TABLES = ["frontier"]
METHOD = "Random"
SHARE = 0.25
"""Of the steer's gain: a direction that does a quarter of its work by chance leaves three quarters to be explained."""


def run(sweeps: Sequence[Sweep], seed: int = 0) -> Result:
    """A claim for each method and form; none where the study has no random direction."""
    keys = {(sweep.method, sweep.form): over_seeds(sweep) for sweep in sweeps}
    if keys.pop((METHOD, "vector"), None) is None:
        return Result(())
    n_pairs = int(defined_everywhere(sweeps).sum())
    if n_pairs < MIN_PAIRS:
        because = too_few(n_pairs)
        return Result(
            tuple(undecided(NAME, "", key, "share", because, "a random direction", METHOD) for key in keys.values())
        )
    found = comparison.frontiers(sweeps, seed)
    random, claims = found[METHOD, "vector"].frontier, []
    for (method, form), key in keys.items():
        steer = found[method, form].frontier
        # A steer that gains nothing has no credit to share.
        shares = np.abs(random.area_samples) / np.maximum(steer.area_samples, 1e-9)
        interval = percentile_interval(shares)
        because = (
            f"A random direction gains {random.area:.3g} nats of preference on average where {method} gains "
            f"{steer.area:.3g}; at most {SHARE:g} of it may be chance."
        )
        estimate = abs(random.area) / max(steer.area, 1e-9)
        outcome, control = judge(interval, (0.0, SHARE)), "a random direction"
        claims.append(Claim(NAME, "", key, estimate, "share", interval, control, outcome, because, against=METHOD))
    return Result(tuple(claims))
