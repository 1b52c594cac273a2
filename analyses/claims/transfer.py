"""A curve fitted on the pairs that taught the steer predicts the test pairs.

ArXiv 2602.02343 reports that this can fail (its Table 6 has a negative R²). Failing has two causes that are told apart
here: as fitted, or up to a baseline and a scale of the test pairs' own, which leaves the shape alone to be judged.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.curves import CurveFit, fit_preference, fit_utility
from mechsteer.statistics.intervals import N_RESAMPLES, percentile_interval, r_squared, resampled_means
from mechsteer.statistics.judging import Claim, Outcome, judge

from ..evidence.evidence import Evidence
from .result import Result, undecided
from .rivals import too_few_defined

NAME = "transfer"
ORDER = 110
THEME = "curves"
TITLES = {
    "preference": "Preference curves of learning pairs predict test pairs",
    "preference, shape": "Preference curves transfer in shape",
    "utility": "Utility curves of learning pairs predict test pairs",
    "utility, shape": "Utility curves transfer in shape",
}
CHECKS = ("preference", "preference, shape", "utility", "utility, shape")
"""All predict means: of random parts of one set these agree but for chance, and a shape agrees wherever the means do."""
FIGURE = "transfer"
GOOD, POOR = 0.9, 0.5
"""R² above which a reader would use the learning pairs' curve for others, and below which nobody would."""
UNIT = "R² on test pairs"


def run(evidence: Evidence) -> Result:
    """Four claims: each curve as it was fitted, and its shape alone."""
    both = [_transfer("preference", fit_preference, evidence), _transfer("utility", fit_utility, evidence)]
    predictions = pd.concat([table for _, table in both], ignore_index=True)
    return Result(tuple(claim for claims, _ in both for claim in claims), {"predictions": predictions})


def _transfer(quantity: str, fit_to: Callable[..., CurveFit], evidence: Evidence) -> tuple[list[Claim], pd.DataFrame]:
    learnt, values = getattr(evidence.learning_sweep, quantity), getattr(evidence.sweep, quantity)
    names = [quantity, f"{quantity}, shape"]
    if because := too_few_defined(learnt, values):
        return [undecided(NAME, name, evidence.key, UNIT, because) for name in names], pd.DataFrame()
    fit = fit_to(evidence.learning_sweep, n_resamples=0, seed=evidence.seed)
    if not fit.ok:
        return [undecided(NAME, name, evidence.key, UNIT, fit.status.value) for name in names], pd.DataFrame()
    values = values[:, np.isfinite(values).all(axis=0)]
    mean, predicted = values.mean(axis=1), fit.predict(evidence.sweep.multipliers)
    draws = resampled_means(values, N_RESAMPLES, evidence.seed)
    own = r_squared(fit.mean, fit.predict(fit.multipliers))
    control = f"the learning pairs themselves, where the same curve has R² {own:.3f}"
    claims = []
    for name, score, how in (
        (names[0], r_squared, ""),
        (names[1], _shape_r_squared, ", given their own baseline and scale,"),
    ):
        estimate, interval = score(mean, predicted), percentile_interval(np.array([score(d, predicted) for d in draws]))
        outcome = judge(interval, (GOOD, 1.0))
        if outcome is Outcome.REFUTED and interval.high >= POOR:
            outcome = Outcome.INCONCLUSIVE
        because = (
            f"The learning pairs' curve predicts the test pairs' mean {quantity}{how} with R² = {estimate:.3f} "
            f"[{interval.low:.3f}, {interval.high:.3f}]; at least {GOOD} counts as transfer, below {POOR} as none."
        )
        claims.append(Claim(NAME, name, evidence.key, estimate, UNIT, interval, control, outcome, because))
    columns = {"quantity": quantity, "multiplier": evidence.sweep.multipliers, "mean": mean, "predicted": predicted}
    return claims, pd.DataFrame(columns)


def _shape_r_squared(values: Float[ndarray, " m"], predictions: Float[ndarray, " m"]) -> float:
    """R² after the best baseline and scale."""
    scale, baseline = np.polyfit(predictions, values, 1)
    return r_squared(values, baseline + scale * predictions)
