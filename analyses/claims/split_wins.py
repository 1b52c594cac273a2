"""SPLIT gains more preference than every rival at an equal loss of utility (arXiv 2602.02343, its section on SPLIT).

Judged on the area under the frontier, in nats, with pairs, training steps and validation split held fixed; one claim
for each form and rival. It is a claim about a whole study, so it reads sweeps rather than one steer's evidence.

A method is trained from a few seeds only. Drawing two or three of them again says too little of how far another one
would lie: of two methods that gain as much, a bootstrap finds one better in a third of studies. So the interval is
Student's, with what the seeds scatter and as many degrees of freedom as Welch gives to so few.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

from mechsteer.measuring.frontier import Frontier, defined_everywhere, frontier
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome

from ..evidence import comparison
from ..evidence.comparison import over_seeds
from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "split_wins"
ORDER = 130
SCOPE = "study"
NEEDS = "sweeps"
ACROSS = True
TITLES = {"": "SPLIT gains more than the other methods"}
FIGURE = "split_wins"
METHOD = "SPLIT"
N_RESAMPLES = 200
"""Enough for a standard error."""


def run(sweeps: Sequence[Sweep], seed: int = 0) -> Result:
    """A claim for each form and rival; none where SPLIT or its rivals were not studied."""
    defined = defined_everywhere(sweeps)
    n_pairs = int(defined.sum())
    found = comparison.frontiers(sweeps, seed) if n_pairs >= MIN_PAIRS else {}
    steers = {(sweep.method, sweep.form): over_seeds(sweep) for sweep in sweeps}
    claims = []
    for method, form in steers:
        if method == METHOD or (METHOD, form) not in steers:
            continue
        key = steers[METHOD, form]
        control = f"{method}, on the same pairs and budgets"
        if not found:
            claims.append(undecided(NAME, "", key, "nats", too_few(n_pairs), control, method))
            continue
        split, rival = found[METHOD, form].frontier, found[method, form].frontier
        by_seed = [
            [
                frontier([sweep], defined=defined, n_resamples=N_RESAMPLES, seed=seed)
                for sweep in sweeps
                if (sweep.method, sweep.form) == (name, form)
            ]
            for name in (METHOD, method)
        ]
        error, freedom = _standard_error(by_seed, n_pairs)
        estimate = split.area - rival.area
        half = float(error * student.isf((1 - ConfidenceInterval.level) / 2, freedom))
        interval = ConfidenceInterval(estimate - half, estimate + half)
        p_value = float(2 * student.sf(abs(estimate) / error, freedom)) if error > 0 else float("nan")
        outcome = Outcome.INCONCLUSIVE
        if interval.low > 0 or interval.high < 0:
            outcome = Outcome.SUPPORTED if interval.low > 0 else Outcome.REFUTED
        verb = {Outcome.SUPPORTED: "beats", Outcome.REFUTED: "loses to"}.get(outcome, "cannot be told from")
        seeds = "one training seed" if rival.n_seeds == 1 else f"{rival.n_seeds} training seeds"
        because = (
            f"SPLIT {verb} {method}: mean preference gained is {split.area:.3g} against {rival.area:.3g} nats over "
            f"losses of utility up to {max(split.budgets):g} nats, from {seeds}."
        )
        claims.append(
            Claim(NAME, "", key, estimate, "nats", interval, control, outcome, because, p_value, against=method)
        )
    return Result(tuple(claims), {"frontier": comparison.table(found)} if found else {})


def _standard_error(by_seed: Sequence[Sequence[Frontier]], n_pairs: int) -> tuple[float, float]:
    """Of the difference of two methods' areas, over pairs and training seeds; and its degrees of freedom."""
    # The same draws of pairs for all, so that they are paired.
    split, rival = (np.mean([item.area_samples for item in frontiers], axis=0) for frontiers in by_seed)
    parts = [(float(np.var(split - rival)), n_pairs - 1)]
    # From one seed, the claim is about that training alone.
    for areas in ([item.area for item in frontiers] for frontiers in by_seed):
        if len(areas) > 1:
            parts.append((float(np.var(areas, ddof=1)) / len(areas), len(areas) - 1))
    total = sum(variance for variance, _ in parts)
    share = sum(variance**2 / freedom for variance, freedom in parts)
    return float(np.sqrt(total)), total**2 / share if share > 0 else 1.0
