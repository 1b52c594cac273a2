"""The gate: of a steer that does no more than chance, nothing else is judged."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome


def gated(claims: Sequence[Claim], gates: Collection[str]) -> list[Claim]:
    """The claims, those about a steer that a gate did not let through without a verdict; what tests the software stays.

    A gate that could not be measured, as at several sites, keeps nobody out.
    """
    shut = {
        claim.key: claim
        for claim in claims
        if claim.claim in gates and claim.outcome is not Outcome.SUPPORTED and np.isfinite(claim.estimate)
    }
    return [
        _not_judged(claim, shut[claim.key])
        if claim.key in shut and claim.claim not in gates and not claim.is_check
        else claim
        for claim in claims
    ]


def _not_judged(claim: Claim, gate: Claim) -> Claim:
    because = f"Not judged: the steer was not shown to gain more than chance does ({gate.name}: {gate.outcome.value})."
    nothing = ConfidenceInterval(np.nan, np.nan)
    return replace(
        claim, estimate=np.nan, interval=nothing, outcome=Outcome.INCONCLUSIVE, because=because, p_value=float("nan")
    )
