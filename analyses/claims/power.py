"""Power on a study's own data: were the claim true here, would it be found?

A claim is simulated as true on what the study has measured: its pairs, directions, distances and noise. Each simulation is judged
as the study is. Where fewer than four of five support the claim, or more than one of twenty refutes it, a verdict would say more
about the study than about the model, and none is given. An outcome that has been *seen*, such as a departure that the claim rules
out, needs no power. One that rests on having failed to see something does, and so does one that something is zero.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mechsteer.statistics.judging import Claim, Outcome

ENOUGH = 0.8
"""Least share of planted truths that must be found: what is asked of a test by custom."""
WRONG = 0.05
"""Largest share of them that may be refuted."""
N_PLANTED = 100
"""Which tell a share of 80 % to within four points."""
N_PLANTED_RESAMPLES = 300
"""Of each planted truth: its interval is only counted, not told."""


@dataclass(frozen=True)
class Power:
    """Shares of planted truths that were found, and that were taken for their opposite."""

    truth: str
    """What was planted."""
    found: float
    refuted: float

    @property
    def is_enough(self) -> bool:
        return self.found >= ENOUGH and self.refuted <= WRONG

    def __str__(self) -> str:
        return (
            f"Power: of simulations on this study's own data in which the claim is true ({self.truth}), {self.found:.0%} "
            f"support it and {self.refuted:.0%} refute it"
        )


def power(truth: str, planted: Callable[[np.random.Generator], Outcome], seed: int = 0, n: int = N_PLANTED) -> Power:
    """Of a verdict, from what it comes to where the claim was planted anew."""
    rng = np.random.default_rng([seed, n])
    outcomes = [planted(rng) for _ in range(n)]
    return Power(truth, *(outcomes.count(outcome) / n for outcome in (Outcome.SUPPORTED, Outcome.REFUTED)))


def power_over_pairs(
    truth: str,
    verdict: Callable[[Float[ndarray, "*rows pairs"], int], Outcome],
    planted: Float[ndarray, "*rows pairs"],
    seed: int = 0,
) -> Power:
    """Of a verdict on values of pairs, given a seed for its resamples: pairs in which the claim is true are drawn again."""
    n_pairs = planted.shape[-1]

    def drawn(rng: np.random.Generator) -> Outcome:
        return verdict(planted[..., rng.integers(n_pairs, size=n_pairs)], int(rng.integers(2**31)))

    return power(truth, drawn, seed)


def if_powerful(found: Power, claim: Claim, *, at_sight: Outcome | None = None) -> Claim:
    """The claim with its power told; undecided where that is not enough for what it came to. An outcome `at_sight` needs none,
    but that a refutation is not what the truth would come to."""
    because = f"{claim.because} {found}"
    mistaken = claim.outcome is Outcome.REFUTED and found.refuted > WRONG
    if found.is_enough or (claim.outcome is at_sight and not mistaken):
        return replace(claim, because=f"{because}.")
    because += f". At least {ENOUGH:.0%} and at most {WRONG:.0%} are required, so this study cannot decide."
    # It was tested all the same, and counts among many.
    return replace(claim, outcome=Outcome.INCONCLUSIVE, because=because, p_value=float(np.maximum(claim.p_value, 1.0)))
