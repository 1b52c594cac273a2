"""Power on a study's own activations: were the claim true here, would it be found?

A claim plants its truth on what the study has measured, its distances, its pairs and its noise, and judges that as it judges
the study, many times over. Where the truth is found in fewer than four of five, or taken for its opposite in more than one of
twenty, a verdict would say more of the study than of the model, and none is given.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mechsteer.statistics.judging import Claim, Outcome

ENOUGH = 0.8
"""Least share of planted truths that must be found: what is asked of a test by custom."""
WRONG = 0.05
"""Largest share of them that may be refuted."""
N_PLANTED = 100
"""Which tell a share of 80 % to within four points."""


@dataclass(frozen=True)
class Power:
    """Shares of planted truths that were found, and that were taken for their opposite."""

    found: float
    refuted: float

    @property
    def is_enough(self) -> bool:
        return self.found >= ENOUGH and self.refuted <= WRONG

    def __str__(self) -> str:
        words = f"Planted on this study's own activations, the claim is found in {self.found:.0%} of cases"
        if self.is_enough:
            return f"{words}."
        return (
            f"{words} and refuted in {self.refuted:.0%}, where {ENOUGH:.0%} and at most {WRONG:.0%} are needed: "
            "this study cannot decide."
        )


def power(planted: Callable[[np.random.Generator], Outcome], seed: int = 0, n: int = N_PLANTED) -> Power:
    """Of a verdict, from what it comes to where the claim was planted anew."""
    rng = np.random.default_rng([seed, n])
    outcomes = [planted(rng) for _ in range(n)]
    return Power(*(outcomes.count(outcome) / n for outcome in (Outcome.SUPPORTED, Outcome.REFUTED)))


def if_powerful(found: Power, claim: Claim) -> Claim:
    """The claim with its power told; undecided where that is not enough."""
    because = f"{claim.because} {found}"
    if found.is_enough:
        return replace(claim, because=because)
    return replace(claim, outcome=Outcome.INCONCLUSIVE, because=because, p_value=float("nan"))
