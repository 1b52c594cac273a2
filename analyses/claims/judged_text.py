"""Log-odds of pairs say what a judge says of free text: preference follows the concept, and the useful range is where text holds.

`concept` sets mean preference against the judge's mean score of the concept, by Kendall's τ over those comparisons of two
multipliers whose scores differ beyond chance. `coherence` compares the end of the useful range, half a nat of lost utility, with
the multiplier at which the judge sees text break. A judge errs too; the table of its reliability says how often.
"""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy import ndarray

from mechsteer.judges.scale import COHERENCE, CONCEPT
from mechsteer.measuring.useful import USEFUL
from mechsteer.statistics.intervals import N_RESAMPLES, percentile_interval, resampled_with
from mechsteer.statistics.judging import Claim, Outcome, interval_p_value, judge

from ..evidence.scores import OVERALL, Judged
from .power import N_PLANTED_RESAMPLES, Power, if_powerful, power
from .result import MIN_PAIRS, Result, undecided
from .valid_range import Ratio, falling_ends, useful_ends
from .validity import AGREES, AS_WIDE, MIN_COMPARISONS

NAME = "judged_text"
ORDER = 52
THEME = "measurement"
NEEDS = "scores"
TITLES = {
    "concept": "Preference orders multipliers as the judge of texts does",
    "coherence": "The useful range by log-odds matches the range of coherent text",
}
FIGURE = "judged_text"

BEYOND_LUCK = 3.0
"""Standard errors by which two scores differ that are worth comparing: of a hundred comparisons, none by luck."""
MARGIN = 0.1
"""Of coherence between none and all, that may be lost where text holds."""


def run(judged: Judged, seed: int = 0) -> Result:
    """Both, as far as the judge knows the aspect."""
    claims = tuple(
        part(judged, name, seed)
        for part, role in ((_concept, CONCEPT), (_coherence, COHERENCE))
        if (name := judged.aspect(role))
    )
    return Result(claims, {"curve": curve(judged, seed)})


def too_few_queries(judged: Judged, aspect: str) -> str:
    """Why so few decide nothing; "" where there are enough."""
    n = judged.curves(aspect).n
    return (
        ""
        if n >= MIN_PAIRS
        else f"{n} queries have scores at every multiplier; {MIN_PAIRS} are needed. Judge more texts."
    )


def _concept(judged: Judged, aspect: str, seed: int) -> Claim:
    control = f"the judge {judged.judge}"
    scores = judged.curves(aspect).draws(seed, N_RESAMPLES)
    compared = _beyond_luck(scores)
    because = too_few_queries(judged, aspect)
    if not because and compared.sum() < MIN_COMPARISONS:
        because = (
            f"Scores differ beyond chance in {compared.sum()} comparisons; {MIN_COMPARISONS} are needed. Judge more texts, or "
            "steer further."
        )
    if because:
        return undecided(NAME, "concept", judged.key, "τ", because, control)
    preference = resampled_with(judged.sweep.preference, N_RESAMPLES, seed)
    found = _agreement(preference, scores, compared)
    interval = percentile_interval(found[1:])
    outcome = judge(interval, (AGREES, np.inf))
    because = (
        f"Over {compared.sum()} comparisons of two multipliers, Kendall's τ between preference and {aspect} by {judged.judge} is "
        f"{found[0]:.2f}; at least {AGREES} counts as agreement."
    )
    p = interval_p_value(interval, (AGREES, np.inf), outcome)
    claim = Claim(NAME, "concept", judged.key, float(found[0]), "τ", interval, control, outcome, because, p)
    return if_powerful(_power_to_agree(preference, scores, seed), claim)


def _agreement(
    one: Float[ndarray, "draws k"], other: Float[ndarray, "draws k"], compared: Bool[ndarray, "k k"]
) -> Float[ndarray, " draws"]:
    first, second = np.nonzero(compared)
    orders = [np.sign(values[:, first] - values[:, second]) for values in (one, other)]
    return np.mean(orders[0] * orders[1], axis=1)


def _beyond_luck(scores: Float[ndarray, "draws k"]) -> Bool[ndarray, "k k"]:
    """Which two means differ by more than the luck of the queries, which are the same at both; each comparison once."""
    apart = scores[:, :, None] - scores[:, None, :]
    return np.triu(np.abs(apart[0]) > BEYOND_LUCK * apart[1:].std(axis=0), 1)


def _power_to_agree(preference: Float[ndarray, "draws k"], scores: Float[ndarray, "draws k"], seed: int) -> Power:
    true = np.sort(scores[0])[np.argsort(np.argsort(preference[0]))]
    lucks = [values[1:] - values[0] for values in (preference, scores)]

    def planted(rng: np.random.Generator) -> Outcome:
        some = slice(N_PLANTED_RESAMPLES)
        means = [
            middle + luck[rng.integers(len(luck))] + np.concatenate([np.zeros_like(luck[:1]), luck[some]])
            for middle, luck in zip((preference[0], true), lucks, strict=True)
        ]
        if (compared := _beyond_luck(means[1])).sum() < MIN_COMPARISONS:
            return Outcome.INCONCLUSIVE
        return judge(percentile_interval(_agreement(means[0], means[1], compared)[1:]), (AGREES, np.inf))

    return power("the judge's true scores are ordered as preference is", planted, seed)


def _coherence(judged: Judged, aspect: str, seed: int) -> Claim:
    unit, control = "useful range by log-odds / range of coherent text", f"the judge {judged.judge}"
    if because := too_few_queries(judged, aspect):
        return undecided(NAME, "coherence", judged.key, unit, because, control)
    curves = judged.curves(aspect)
    m, scores = curves.multipliers, curves.draws(seed, N_RESAMPLES)
    even = np.ones(len(m))
    promised = useful_ends(judged.sweep, N_RESAMPLES, seed)
    checked = falling_ends(m, scores, even, MARGIN)
    ratio = Ratio.of(promised, checked)
    interval = ratio.interval
    outcome = judge(interval, AS_WIDE)
    told = [f"{0 - row[0]:.3g} to {row[1]:.3g}" for row in (promised.at_least[:, 0], checked.at_least[:, 0])]
    because = (
        f"By log-odds, m = {told[0]} is useful (at most {USEFUL:g} nats lost). By {judged.judge}, {aspect} stays within "
        f"{MARGIN:g} of that at m = 0 from m = {told[1]}. The first range is {ratio.estimate:.2f} times as wide as the second; "
        f"{AS_WIDE[0]:g} to {AS_WIDE[1]:g} counts as equal."
    )
    p = interval_p_value(interval, AS_WIDE, outcome)
    claim = Claim(NAME, "coherence", judged.key, ratio.estimate, unit, interval, control, outcome, because, p)
    if not np.isfinite([promised.found[:, 0], checked.found[:, 0]]).all():
        return claim
    # Were both ranges one, text would break where utility is lost.
    stretched = np.where(m < 0, *(checked.found[:, 0] / promised.found[:, 0])) * m
    true, luck = np.interp(stretched, m, scores[0]), scores[1:] - scores[0]

    def planted(rng: np.random.Generator) -> Outcome:
        again = (
            true + luck[rng.integers(len(luck))] + np.concatenate([np.zeros_like(luck[:1]), luck[:N_PLANTED_RESAMPLES]])
        )
        found = falling_ends(m, again, even, MARGIN)
        return judge(Ratio.of(promised.first(1 + N_PLANTED_RESAMPLES), found).interval, AS_WIDE)

    return if_powerful(power("text breaks where half a nat is lost", planted, seed), claim, at_sight=Outcome.REFUTED)


def curve(judged: Judged, seed: int = 0) -> pd.DataFrame:
    """A row for each quantity and multiplier, with its interval: preference gained and utility lost (nats), and what the judge
    says of each aspect, between none and all."""
    sweep = judged.sweep
    gained = sweep.preference - sweep.preference[sweep.zero]
    draws = {
        "preference gained": (
            sweep.multipliers,
            resampled_with(gained, N_RESAMPLES, seed),
        ),
        "utility lost": (sweep.multipliers, resampled_with(sweep.lost, N_RESAMPLES, seed)),
    }
    aspects = [name for role in (CONCEPT, COHERENCE) if (name := judged.aspect(role))]
    for name in (*aspects, OVERALL):
        curves = judged.curves(name)
        draws[name] = (curves.multipliers, curves.draws(seed, N_RESAMPLES))
    ends = useful_ends(sweep, 1, seed).at_least[:, 0]
    parts = []
    for name, (m, values) in draws.items():
        # Where nothing has a score there is no interval, of which NumPy would warn.
        low, high = pd.DataFrame(values[1:]).quantile([0.025, 0.975]).to_numpy()
        parts.append(pd.DataFrame({"quantity": name, "multiplier": m, "value": values[0], "low": low, "high": high}))
    return pd.concat(parts, ignore_index=True).assign(judge=judged.judge, useful_low=-ends[0], useful_high=ends[1])
