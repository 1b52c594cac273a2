"""The log-odds measure what they claim to: D_u(m) is the validity, and preference the concept, of generated answers.

On the guestbook an exact checker says which sampled answers are valid and which side of the concept they take, with no
probability involved. `utility` sets the validity decay fitted to utility log-odds (arXiv 2602.02343, eqs. 12 and 17)
against the share of valid answers at the same multipliers, `preference` the mean preference against the concept's
value. Agreement is Kendall's τ over those comparisons of two multipliers whose answers differ beyond the luck of the
sample: where all answers are valid, their order is luck. `level` asks more, that D_u(m) is that share, as the mean
validity of the theory would be. This tests the instrument, not the theory.
"""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from mechsteer.curves import UtilityCurve, fit_utility
from mechsteer.guestbook import CONCEPTS
from mechsteer.statistics.intervals import percentile_interval, resampled_means
from mechsteer.statistics.judging import Claim, judge, p_value

from ..evidence.evidence import Evidence
from .result import Result, undecided
from .tokens import if_enough

NAME = "validity"
ORDER = 50
TITLES = {
    "preference": "Preference orders multipliers as the exact checker does",
    "utility": "Utility orders multipliers as the exact checker does",
    "level": "Fitted validity is the share of valid answers",
}
FIGURE = "validity"

AGREES = 0.5
"""Least τ that counts as agreement: three comparisons of four."""
CLOSE = 0.1
"""Largest mean difference between the fitted validity and the share of valid answers at which one is the other."""
BEYOND_LUCK = 2.0
"""Standard errors by which two shares differ that are worth comparing."""
MIN_COMPARISONS = 5
N_STARTS = 8
"""Enough for the values of the decay, which are all that is used of the fit."""
N_RESAMPLES = 2000


def run(evidence: Evidence) -> Result:
    """Both instruments against the checker; nothing for pairs that no checker knows."""
    if evidence.answers.empty:
        return Result(())
    answers = evidence.answers.sort_values("multiplier")
    multipliers, n = answers["multiplier"].to_numpy(np.float64), answers["n_answers"].to_numpy(np.int64)
    concept = concept_steered(evidence)
    # A value in [-1, 1] as a share of positive words, which is as spread out as a share can be: no doubt is hidden.
    valid, positive = answers["valid"].to_numpy(np.float64), (1 + answers[concept].to_numpy(np.float64)) / 2

    fit = fit_utility(evidence.sweep, n_starts=N_STARTS, n_resamples=0, seed=evidence.seed)
    preference = _means(evidence, "preference", multipliers)
    found = [_judge(evidence, "preference", preference, positive, n, f"preference and the true value of {concept}")]
    checked = {
        "multiplier": multipliers,
        "n_answers": n,
        "preference": preference[0],
        "positive": positive,
        "valid": valid,
    }
    if isinstance(fit.curve, UtilityCurve) and fit.ok:
        decay = fit.curve.validity(multipliers)
        utility = _means(evidence, "utility", multipliers)
        # Other pairs would have moved the decay by as much as they move utility.
        moved = decay + (utility - utility[0]) / fit.curve.offset
        found.append(_judge(evidence, "utility", moved, valid, n, "the fitted validity and the share of valid answers"))
        found.append(_level(evidence, moved, valid, n))
        checked["validity_fitted"] = decay
    else:
        for name, unit in (("utility", "τ"), ("level", "share")):
            found.append((undecided(NAME, name, evidence.key, unit, fit.status.value), pd.DataFrame()))
    claims = tuple(if_enough(fit.n_pairs, claim) for claim, _ in found)
    agreement = pd.concat([table for _, table in found], ignore_index=True)
    return Result(claims, {"checked": pd.DataFrame(checked).assign(concept=concept), "agreement": agreement})


def concept_steered(evidence: Evidence) -> str:
    """The concept of the pairs; where they name none, that whose value changes most."""
    return evidence.concept or str(np.ptp(evidence.answers[list(CONCEPTS)], axis=0).idxmax())


def _means(evidence: Evidence, quantity: str, multipliers: Float[ndarray, " k"]) -> Float[ndarray, "draws k"]:
    """Means over pairs at these multipliers, of all pairs and of pairs drawn again, on a line between those swept."""
    values = getattr(evidence.sweep, quantity)
    values = values[:, np.isfinite(values).all(axis=0)]
    means = np.concatenate([values.mean(axis=1)[None], resampled_means(values, N_RESAMPLES, evidence.seed)])
    return np.array([np.interp(multipliers, evidence.sweep.multipliers, row) for row in means])


def _agreement(
    measured: Float[ndarray, "draws k"], checked: Float[ndarray, "draws k"], compared: Bool[ndarray, "k k"]
) -> dict[str, Float[ndarray, " draws"]]:
    """Kendall's τ over the comparisons, and the linear correlation; zero where one side does not vary."""
    first, second = np.nonzero(compared)
    orders = [np.sign(values[:, first] - values[:, second]) for values in (measured, checked)]
    x, y = (values - values.mean(axis=1, keepdims=True) for values in (measured, checked))
    scale = np.sqrt(np.sum(x * x, axis=1) * np.sum(y * y, axis=1))
    linear = np.divide(np.sum(x * y, axis=1), scale, out=np.zeros_like(scale), where=scale > 0)
    return {"τ": np.mean(orders[0] * orders[1], axis=1), "linear": linear}


def _beyond_luck(share: Float[ndarray, " k"], n: Int[ndarray, " k"]) -> Bool[ndarray, "k k"]:
    """Which two shares differ by more than luck; each comparison once."""
    # Two more of each kind, as Agresti and Coull: an observed share of one has doubt too.
    smoothed = (share * n + 2) / (n + 4)
    variance = smoothed * (1 - smoothed) / (n + 4)
    error = np.sqrt(variance[:, None] + variance)
    return np.triu(np.abs(smoothed[:, None] - smoothed) > BEYOND_LUCK * error, 1)


def _judge(
    evidence: Evidence,
    quantity: str,
    measured: Float[ndarray, "draws k"],
    share: Float[ndarray, " k"],
    n: Int[ndarray, " k"],
    what: str,
) -> tuple[Claim, pd.DataFrame]:
    """Doubt is of both sides: pairs drawn again on one, answers on the other."""
    compared = _beyond_luck(share, n)
    if compared.sum() < MIN_COMPARISONS:
        because = f"The answers differ beyond luck in {compared.sum()} comparisons only. Sample more, or steer further."
        return undecided(NAME, quantity, evidence.key, "τ", because), pd.DataFrame()
    checked = _drawn_again(evidence, share, n, len(measured))
    found = _agreement(measured, checked, compared)
    intervals = {name: percentile_interval(draws[1:]) for name, draws in found.items()}
    rows = [(quantity, name, draws[0], intervals[name].low, intervals[name].high) for name, draws in found.items()]
    outcome = judge(intervals["τ"], (AGREES, np.inf))
    judged = Claim(
        claim=NAME,
        part=quantity,
        key=evidence.key,
        estimate=float(found["τ"][0]),
        unit="τ",
        interval=intervals["τ"],
        control="the exact checker, on sampled answers",
        outcome=outcome,
        p_value=p_value(found["τ"][1:], (AGREES, np.inf), outcome),
        because=f"Over {compared.sum()} comparisons of two multipliers, {what} agree by τ = {found['τ'][0]:.2f} (linear "
        f"correlation {found['linear'][0]:.2f}); at least {AGREES} is agreement.",
    )
    return judged, pd.DataFrame(rows, columns=["quantity", "measure", "estimate", "low", "high"])


def _level(
    evidence: Evidence, decay: Float[ndarray, "draws k"], valid: Float[ndarray, " k"], n: Int[ndarray, " k"]
) -> tuple[Claim, pd.DataFrame]:
    """The mean distance of the two curves."""
    distance = np.abs(decay - _drawn_again(evidence, valid, n, len(decay))).mean(axis=1)
    interval = percentile_interval(distance[1:])
    worst = int(np.argmax(np.abs(decay[0] - valid)))
    outcome = judge(interval, (0, CLOSE))
    judged = Claim(
        claim=NAME,
        part="level",
        key=evidence.key,
        estimate=float(distance[0]),
        unit="share",
        interval=interval,
        control="the exact checker, on sampled answers",
        outcome=outcome,
        p_value=p_value(distance[1:], (-np.inf, CLOSE), outcome),
        because=f"The fitted validity and the share of valid answers differ by {distance[0]:.2f} on average, and most where "
        f"one is {decay[0, worst]:.2f} and the other {valid[worst]:.2f}; at most {CLOSE} is the same.",
    )
    row = ("level", "mean distance", float(distance[0]), interval.low, interval.high)
    return judged, pd.DataFrame([row], columns=["quantity", "measure", "estimate", "low", "high"])


def _drawn_again(
    evidence: Evidence, share: Float[ndarray, " k"], n: Int[ndarray, " k"], n_draws: int
) -> Float[ndarray, "draws k"]:
    """The shares, and shares that as many answers would have had by luck."""
    drawn = np.random.default_rng(evidence.seed).binomial(n, share, size=(n_draws - 1, len(n))) / n
    return np.concatenate([share[None], drawn])
