"""SPLIT gains more preference than every rival at an equal loss of utility (arXiv 2602.02343, its section on SPLIT).

It is judged on the area under the frontier over the useful range, in nats. Pairs, training steps, seeds and validation split are
held fixed, and each form and rival gets a claim. The claim is about a whole study, so it reads sweeps rather than one steer's
evidence. One training run cannot rank a method, so with one seed neither wins. Nor does one where it hangs on how
curves are read: between multipliers that lie far apart, or where the loss dips under a budget again.
"""

from collections.abc import Sequence

from mechsteer.measuring.frontier import defined_everywhere
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import USEFUL
from mechsteer.statistics.judging import Claim

from ..evidence import comparison
from ..evidence.comparison import METHOD, Compared, Difference, over_seeds
from .result import MIN_PAIRS, Result, too_few, undecided

NAME = "split_wins"
VERSION = 2
ORDER = 130
THEME = "methods"
SCOPE = "study"
NEEDS = "sweeps"
ACROSS = True
TITLES = {"": "SPLIT gains more than the other methods"}
FIGURE = "split_wins"
BOUNDS = {"": (0.0,)}


def run(sweeps: Sequence[Sweep], seed: int = 0) -> Result:
    """A claim for each form and rival; none where SPLIT or its rivals were not studied."""
    n_pairs = int(defined_everywhere(sweeps).sum())
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
        split, rival = found[METHOD, form], found[method, form]
        difference, n_seeds = Difference.of(split, rival), split.frontier.n_seeds
        seeds = "one training seed" if n_seeds == 1 else f"{n_seeds} training seeds"
        because = (
            f"Averaged over losses of utility up to {USEFUL:g} nats, SPLIT gains {split.frontier.area:.3g} nats of preference "
            f"and {method} gains {rival.frontier.area:.3g}, from {seeds}. {difference}{_open(split, rival)}"
        )
        claims.append(
            Claim(
                NAME,
                "",
                key,
                difference.by_frontier.estimate,
                "nats",
                difference.by_frontier.interval(),
                control,
                difference.outcome,
                because,
                difference.p_value,
                against=method,
            )  # fmt: skip
        )
    return Result(tuple(claims), {"frontier": comparison.table(found)} if found else {})


def _open(split: Compared, rival: Compared) -> str:
    """Of which steers the sweep ends too soon, in a sentence."""
    at = split.frontier.budgets.index(USEFUL)
    still = [one.key.steer for one in (split, rival) if one.frontier.is_open[:, at].any()]
    lose = "loses" if len(still) == 1 else "lose"
    return (
        f" {' and '.join(still)} never {lose} {USEFUL:g} nats on one side, and may gain more beyond the sweep."
        if still
        else ""
    )
