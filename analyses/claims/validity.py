"""The log-odds measure what they claim to: D_u(m) tracks the validity, and preference the concept, of generated answers.

On the guestbook an exact checker says which sampled answers are valid and which side of the concept they take, without any
model's judgement. `utility` compares the validity decay fitted to utility log-odds (arXiv 2602.02343, eqs. 12 and 17) with
the share of valid answers at the same multipliers. `preference` compares mean preference with the concept's value. Agreement
is Kendall's τ over those pairs of multipliers whose answers differ beyond sampling noise: where all answers are valid, their
order is noise. `level` asks more. A steer counts as useful up to half a nat of lost utility, so answers should stay about as
valid as unsteered ones up to there, and no further. This tests the instrument, not the theory.
"""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from mechsteer.curves import UtilityCurve, fit_utility
from mechsteer.guestbook import CONCEPTS
from mechsteer.measuring.useful import USEFUL
from mechsteer.statistics.intervals import percentile_interval, resampled_means
from mechsteer.statistics.judging import Claim, Outcome, interval_p_value, judge, p_value

from ..evidence.evidence import Evidence
from .power import N_PLANTED_RESAMPLES, Power, if_powerful, power
from .result import Result, undecided
from .tokens import if_enough
from .valid_range import Ends, Ratio, table, useful_ends, valid_ends

NAME = "validity"
ORDER = 50
THEME = "measurement"
VERSION = 2
TITLES = {
    "preference": "Preference orders multipliers as the exact checker does",
    "utility": "Utility orders multipliers as the exact checker does",
    "level": "The useful range by log-odds matches the range of valid answers",
}
FIGURE = "validity"

AGREES = 0.5
"""Least τ that counts as agreement: three comparisons of four."""
AGREEMENT = (AGREES, np.inf)
MARGIN = 0.1
"""How far the share of valid answers may fall below that at m = 0 within the range of valid answers: one answer in ten, three
standard errors of a share over 64 answers."""
AS_WIDE = (0.8, 1.25)
"""Ratios of two ranges that count as equal: a fifth either way is less than the spacing of a sweep's multipliers."""
BEYOND_LUCK = 2.0
"""Standard errors by which two shares must differ to be compared."""
MIN_COMPARISONS = 5
"""The fewest for which τ stays above `AGREES` with one of them out of order."""
N_RESAMPLES = 2000
"""Twice as many as for an interval: τ takes few values and shares are bounded, so p-values are counted, down to 0.01."""


def run(evidence: Evidence) -> Result:
    """Both instruments against the checker; no claims for pairs without a checker."""
    if evidence.answers.empty:
        return Result(())
    answers = evidence.answers.sort_values("multiplier")
    multipliers, n = answers["multiplier"].to_numpy(np.float64), answers["n_answers"].to_numpy(np.int64)
    concept = concept_steered(evidence)
    # A value in [-1, 1] is treated as a share of positive answers. No other variable of that mean has more variance, so the
    # uncertainty is not understated.
    valid, positive = answers["valid"].to_numpy(np.float64), (1 + answers[concept].to_numpy(np.float64)) / 2

    fit = fit_utility(evidence.sweep, with_rivals=False, n_resamples=0, seed=evidence.seed)
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
        # Resampled pairs move the decay by as much as they move utility.
        moved = decay + (utility - utility[0]) / fit.curve.offset
        found.append(_judge(evidence, "utility", moved, valid, n, "the fitted validity and the share of valid answers"))
        checked["validity_fitted"] = decay
    else:
        found.append((undecided(NAME, "utility", evidence.key, "τ", fit.status.value), pd.DataFrame()))
    level, ranges = _level(evidence, multipliers, valid, n)
    claims = tuple(if_enough(fit.n_pairs, claim) for claim in (*(claim for claim, _ in found), level))
    agreement = pd.concat([table for _, table in found], ignore_index=True)
    checked = pd.DataFrame(checked).assign(concept=concept)
    return Result(claims, {"checked": checked, "agreement": agreement, "range": ranges})


def concept_steered(evidence: Evidence) -> str:
    """The concept of the pairs; where they name none, the one whose value changes most."""
    return evidence.concept or str(np.ptp(evidence.answers[list(CONCEPTS)], axis=0).idxmax())


def _means(evidence: Evidence, quantity: str, multipliers: Float[ndarray, " k"]) -> Float[ndarray, "draws k"]:
    """Means over all pairs and over resampled pairs, interpolated between the swept multipliers."""
    values = getattr(evidence.sweep, quantity)
    values = values[:, np.isfinite(values).all(axis=0)]
    means = np.concatenate([values.mean(axis=1)[None], resampled_means(values, N_RESAMPLES, evidence.seed)])
    return np.array([np.interp(multipliers, evidence.sweep.multipliers, row) for row in means])


def _agreement(
    measured: Float[ndarray, "draws k"], checked: Float[ndarray, "draws k"], compared: Bool[ndarray, "k k"]
) -> dict[str, Float[ndarray, " draws"]]:
    """Kendall's τ over the comparisons, and the linear correlation, which is zero where one side does not vary."""
    first, second = np.nonzero(compared)
    orders = [np.sign(values[:, first] - values[:, second]) for values in (measured, checked)]
    x, y = (values - values.mean(axis=1, keepdims=True) for values in (measured, checked))
    scale = np.sqrt(np.sum(x * x, axis=1) * np.sum(y * y, axis=1))
    linear = np.divide(np.sum(x * y, axis=1), scale, out=np.zeros_like(scale), where=scale > 0)
    return {"τ": np.mean(orders[0] * orders[1], axis=1), "linear": linear}


def _beyond_luck(share: Float[ndarray, " k"], n: Int[ndarray, " k"]) -> Bool[ndarray, "k k"]:
    """Which pairs of shares differ by more than sampling noise; each comparison once."""
    # Two more of each kind, as Agresti and Coull: even an observed share of one is uncertain.
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
    """Both sides are resampled: pairs for the log-odds, answers for the checker."""
    compared = _beyond_luck(share, n)
    if compared.sum() < MIN_COMPARISONS:
        because = (
            f"Answers differ beyond chance in {compared.sum()} comparisons; {MIN_COMPARISONS} are needed. Sample more answers, "
            "or steer further."
        )
        return undecided(NAME, quantity, evidence.key, "τ", because), pd.DataFrame()
    checked = _drawn_again(share, n, len(measured) - 1, np.random.default_rng(evidence.seed))
    found = _agreement(measured, checked, compared)
    intervals = {name: percentile_interval(draws[1:]) for name, draws in found.items()}
    rows = [(quantity, name, draws[0], intervals[name].low, intervals[name].high) for name, draws in found.items()]
    outcome = judge(intervals["τ"], AGREEMENT)
    judged = Claim(
        claim=NAME,
        part=quantity,
        key=evidence.key,
        estimate=float(found["τ"][0]),
        unit="τ",
        interval=intervals["τ"],
        control="the exact checker, on sampled answers",
        outcome=outcome,
        p_value=p_value(found["τ"][1:], AGREEMENT, outcome),
        because=f"Over {compared.sum()} comparisons of two multipliers, Kendall's τ between {what} is {found['τ'][0]:.2f} "
        f"(linear correlation {found['linear'][0]:.2f}); at least {AGREES} counts as agreement.",
    )
    judged = if_powerful(_power_to_agree(measured, share, n, evidence.seed), judged)
    return judged, pd.DataFrame(rows, columns=["quantity", "measure", "estimate", "low", "high"])


def _power_to_agree(
    measured: Float[ndarray, "draws k"], share: Float[ndarray, " k"], n: Int[ndarray, " k"], seed: int
) -> Power:
    """Power to find that both sides order the multipliers alike."""
    true = np.sort(share)[np.argsort(np.argsort(measured[0]))]
    luck = measured[1:] - measured[0]

    def planted(rng: np.random.Generator) -> Outcome:
        answers = rng.binomial(n, true) / n
        if (compared := _beyond_luck(answers, n)).sum() < MIN_COMPARISONS:
            return Outcome.INCONCLUSIVE
        again = measured[0] + luck[rng.integers(len(luck))] + luck[:N_PLANTED_RESAMPLES]
        checked = _drawn_again(answers, n, len(again), rng)[1:]
        return judge(percentile_interval(_agreement(again, checked, compared)["τ"]), AGREEMENT)

    return power("the checker's true shares are ordered as the log-odds are", planted, seed)


def _level(
    evidence: Evidence, multipliers: Float[ndarray, " k"], valid: Float[ndarray, " k"], n: Int[ndarray, " k"]
) -> tuple[Claim, pd.DataFrame]:
    """The useful range by log-odds, as a ratio to the range of valid answers."""
    unit = "useful range by log-odds / range of valid answers"
    if not np.isfinite(evidence.sweep.utility).all(axis=0).any():
        return undecided(NAME, "level", evidence.key, unit, "Utility is undefined for every pair."), pd.DataFrame()
    promised = useful_ends(evidence.sweep, N_RESAMPLES, evidence.seed)
    checked = valid_ends(multipliers, valid, n, MARGIN, N_RESAMPLES, evidence.seed)
    ratio, found = Ratio.of(promised, checked), table(promised, checked)
    interval = ratio.interval
    outcome = judge(interval, AS_WIDE)
    closed = (np.isfinite(ratio.high) & (ratio.low > 0)).all()
    told = [f"{0 - row[0]:.3g} to {row[1]:.3g}" for row in (promised.at_least[:, 0], checked.at_least[:, 0])]
    judged = Claim(
        claim=NAME,
        part="level",
        key=evidence.key,
        estimate=ratio.estimate,
        unit=unit,
        interval=interval,
        control="the exact checker, on sampled answers",
        outcome=outcome,
        p_value=p_value(ratio.low[1:], AS_WIDE, outcome) if closed else interval_p_value(interval, AS_WIDE, outcome),
        because=f"By log-odds, m = {told[0]} is useful (at most {USEFUL:g} nats lost). The share of valid answers stays within "
        f"{MARGIN:g} of that at m = 0 from m = {told[1]}. The first range is {ratio.estimate:.2f} times as wide as the second; "
        f"{AS_WIDE[0]:g} to {AS_WIDE[1]:g} counts as equal.",
    )
    # Where a range goes on beyond the sweep, all that can be seen is that the other one is narrower.
    if np.isfinite([promised.found[:, 0], checked.found[:, 0]]).all():
        stretched = np.where(multipliers < 0, *(checked.found[:, 0] / promised.found[:, 0])) * multipliers
        true = np.interp(stretched, multipliers, valid)
        judged = if_powerful(
            _power_of_level(promised, multipliers, true, n, evidence.seed), judged, at_sight=Outcome.REFUTED
        )
    return judged, found


def _power_of_level(
    promised: Ends, multipliers: Float[ndarray, " k"], true: Float[ndarray, " k"], n: Int[ndarray, " k"], seed: int
) -> Power:
    """Power to find equal ranges, where these are the true shares of valid answers."""
    luck = promised.at_least[:, 1:] / promised.at_least[:, :1]

    def planted(rng: np.random.Generator) -> Outcome:
        answers = rng.binomial(n, true) / n
        found = valid_ends(multipliers, answers, n, MARGIN, N_PLANTED_RESAMPLES, int(rng.integers(2**31)))
        end = promised.at_least[:, :1] * luck[:, rng.integers(luck.shape[1])][:, None]
        again = Ends(np.column_stack([end, end * luck[:, :N_PLANTED_RESAMPLES]]), promised.last)
        return judge(Ratio.of(again, found).interval, AS_WIDE)

    return power("answers stay valid over the useful range by log-odds", planted, seed)


def _drawn_again(
    share: Float[ndarray, " k"], n: Int[ndarray, " k"], n_draws: int, rng: np.random.Generator
) -> Float[ndarray, "draws k"]:
    """The shares, followed by binomial resamples of as many answers."""
    return np.concatenate([share[None], rng.binomial(n, share, size=(n_draws, len(n))) / n])
