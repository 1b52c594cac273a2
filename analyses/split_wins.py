"""SPLIT gains more preference than every rival at an equal loss of utility (arXiv 2602.02343, its section on SPLIT).

Judged on the area under the frontier, in nats, with pairs, training steps and validation split held fixed; one claim
for each form and rival. It is a claim about a whole study, so it reads sweeps rather than one steer's evidence.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from mechsteer.claims import Claim, Outcome
from mechsteer.sweeps import Sweep

from . import comparison
from .result import MIN_PAIRS, Result, too_few

NAME = "split_wins"


def run(sweeps: Sequence[Sweep], pairs: str, seed: int = 0) -> Result:
    """A claim for each form and rival; none where SPLIT or its rivals were not studied. `pairs` names the test pairs."""
    found = comparison.frontiers(sweeps, seed)
    claims = []
    for (method, form), rival in found.items():
        split = found.get(("SPLIT", form))
        if split is None or method == "SPLIT":
            continue
        estimate, interval = split.area_difference(rival)
        spread = float(np.std(split.area_samples - rival.area_samples))
        p_value = float(2 * norm.sf(abs(estimate) / spread)) if spread > 0 else float("nan")
        outcome = Outcome.INCONCLUSIVE
        if interval.low > 0 or interval.high < 0:
            outcome = Outcome.SUPPORTED if interval.low > 0 else Outcome.REFUTED
        verb = {Outcome.SUPPORTED: "beats", Outcome.REFUTED: "loses to"}.get(outcome, "cannot be told from")
        seeds = "one training seed" if rival.n_seeds == 1 else f"{rival.n_seeds} training seeds"
        because = (
            f"SPLIT {verb} {method}: mean preference gained is {split.area:.3g} against {rival.area:.3g} nats over "
            f"losses of utility up to {max(split.budgets):g} nats, from {seeds}."
        )
        defined = int(np.all([np.isfinite(sweep.utility).all(axis=0) for sweep in sweeps], axis=0).sum())
        if defined < MIN_PAIRS:
            outcome, because = Outcome.INCONCLUSIVE, too_few(defined)
        subject = f"{form} at {sweeps[0].layer}:{sweeps[0].place} on {pairs}"
        control = f"{method}, on the same pairs and budgets"
        claims.append(Claim(NAME, subject, estimate, "nats", interval, control, outcome, because, p_value))
    return Result(tuple(claims), {"frontier": comparison.table(found), "differences": comparison.differences(found)})
