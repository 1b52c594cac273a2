"""A curve fitted on the pairs that taught the steer predicts the test pairs.

ArXiv 2602.02343 reports that this can fail (its Table 6 has a negative R²). Failing has two causes that are told apart
here: as fitted, or up to a baseline and a scale of the test pairs' own, which leaves the shape alone to be judged.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.claims import Claim, Outcome, judge
from mechsteer.curves import CurveFit, fit_preference, fit_utility
from mechsteer.statistics import percentile_interval, r_squared, resampled_means

from .evidence import Evidence
from .result import MIN_PAIRS, Result, too_few, undecided
from .rivals import no_fit

NAME = "transfer"
GOOD, POOR = 0.9, 0.5
"""R² above which a reader would use the learning pairs' curve for others, and below which nobody would."""
N_RESAMPLES = 1000
UNIT = "R² on test pairs"


def run(evidence: Evidence) -> Result:
    """Four claims: each curve as it was fitted, and its shape alone."""
    settings = {"seed": evidence.seed, "n_resamples": 0}
    both = [
        _transfer(
            "preference", fit_preference(evidence.learning_sweep, **settings), evidence.sweep.preference, evidence
        ),
        _transfer("utility", fit_utility(evidence.learning_sweep, **settings), evidence.sweep.utility, evidence),
    ]
    predictions = pd.concat([table for _, table in both], ignore_index=True)
    return Result(tuple(claim for claims, _ in both for claim in claims), {"predictions": predictions})


def _transfer(
    quantity: str, fit: CurveFit, values: Float[ndarray, "m pairs"], evidence: Evidence
) -> tuple[list[Claim], pd.DataFrame]:
    values = values[:, np.isfinite(values).all(axis=0)]
    names = [f"{NAME}: {quantity}", f"{NAME}: {quantity}, shape"]
    if not fit.ok or min(fit.n_pairs, values.shape[1]) < MIN_PAIRS:
        because = no_fit(fit) if not fit.ok or fit.n_pairs < MIN_PAIRS else too_few(values.shape[1])
        return [undecided(name, evidence.subject, UNIT, because) for name in names], pd.DataFrame()
    mean, predicted = values.mean(axis=1), fit.predict(evidence.sweep.multipliers)
    draws = resampled_means(values, N_RESAMPLES, evidence.seed)
    own = r_squared(fit.mean, fit.predict(fit.multipliers))
    control = f"the learning pairs themselves, where the same curve has R² {own:.3f}"
    claims = []
    for name, score, how in (
        (names[0], r_squared, "as it was fitted"),
        (names[1], _shape_r_squared, "given the test pairs' own baseline and scale"),
    ):
        estimate, interval = score(mean, predicted), percentile_interval(np.array([score(d, predicted) for d in draws]))
        outcome = judge(interval, (GOOD, 1.0))
        if outcome is Outcome.REFUTED and interval.high >= POOR:
            outcome = Outcome.INCONCLUSIVE
        because = (
            f"The learning pairs' curve, {how}, explains {estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}] of "
            f"the variance of the test pairs' mean {quantity}; {GOOD} would do, and {POOR} would not."
        )
        claims.append(Claim(name, evidence.subject, estimate, UNIT, interval, control, outcome, because))
    columns = {"quantity": quantity, "multiplier": evidence.sweep.multipliers, "mean": mean, "predicted": predicted}
    return claims, pd.DataFrame(columns)


def _shape_r_squared(values: Float[ndarray, " m"], predictions: Float[ndarray, " m"]) -> float:
    """R² after the best baseline and scale."""
    scale, baseline = np.polyfit(predictions, values, 1)
    return r_squared(values, baseline + scale * predictions)
