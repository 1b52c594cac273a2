"""How reliable a judge is: its verdicts against known labels of the same texts, multiplier by multiplier.

A guestbook's checker labels every text: whether it shows the concept, and whether it is valid. Elsewhere a user may label some.
One pair of error rates cannot correct a judge that errs differently on degenerate text than on good text, so this is tested
first. Answers to one query are alike, at one multiplier and at several, so intervals are over queries.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mechsteer.guestbook import language_of
from mechsteer.guestbook.words import EOS
from mechsteer.judges.base import Judge, Written
from mechsteer.judges.scale import COHERENCE, CONCEPT
from mechsteer.statistics.agreement import (
    LEAST_WORTH,
    Confusion,
    carries_over,
    corrected,
    independent_texts,
    prediction_powered,
)
from mechsteer.store.keys import Key

LEAST_KNOWN = 30
"""Fewest labelled texts of either kind for a rate to be corrected."""
RATE = 0.05
YES = 0.5
"""A value between zero and one counts as yes above this."""
TEXT = ["multiplier", "pair", "sample"]
LEAST_QUERIES = 10
"""Fewest queries labelled under both steers for their difference to be corrected: with fewer, a variance is too uncertain."""


def of_checker(samples: pd.DataFrame, scores: pd.DataFrame, concept: str) -> pd.DataFrame:
    """A row for each text and aspect that the guestbook's checker labels: the judge's verdict and the truth. Every other query
    measures the judge's errors, and the rest test the correction."""
    language = language_of(concept)
    checks = [
        language.check(query, f"{text} {EOS}" if ended else text)
        for query, text, ended in zip(samples["query"], samples.text, samples.ended, strict=True)
    ]
    # A text that takes no side shows neither.
    true = {
        CONCEPT: [np.sign(check.values[concept]) or np.nan for check in checks],
        COHERENCE: [1.0 if check.valid else -1.0 for check in checks],
    }
    order = {name: number for number, name in enumerate(pd.unique(samples.pair))}
    parts = [
        scores.loc[scores.role == role]
        .merge(samples[TEXT].assign(true=values), on=TEXT)
        .dropna(subset=["true", "value"])
        for role, values in true.items()
    ]
    rows = pd.concat(parts, ignore_index=True)
    return rows.assign(true=rows.true > 0, said=rows.value > YES, tries=rows.pair.map(order) % 2 == 0)


def of_known(known: pd.DataFrame, judge: Judge, scores: pd.DataFrame) -> pd.DataFrame:
    """The same from texts that a user has labelled for the concept (`query`, `text`, `gold`, and `multiplier` if written under a
    steer), followed by the verdicts to correct: the judge's on the study's texts."""
    found = judge.judge([Written(*row) for row in zip(known["query"], known.text, strict=True)])
    (aspect,) = [item for item in judge.aspects if item.role == CONCEPT]
    value = aspect.share(np.array([row.score for row in found[aspect.name]], np.float64))
    multiplier = known.multiplier if "multiplier" in known else np.nan
    tried = pd.DataFrame(
        {"multiplier": multiplier, "pair": known["query"], "value": value, "true": known.gold.astype(bool)}
    )
    rows = pd.concat(
        [tried.assign(tries=True), scores.loc[scores.role == CONCEPT, [*TEXT, "value"]].assign(tries=False)],
        ignore_index=True,
    )
    rows = rows.dropna(subset=["value"])
    return rows.assign(said=rows.value > YES, aspect=aspect.name)


def reliability(rows: pd.DataFrame, source: str) -> pd.DataFrame:
    """A row for each aspect and multiplier, and one for all: the judge's errors on labelled texts, and its rates on the others,
    corrected where that is valid."""
    parts = []
    for aspect, of_aspect in rows.groupby("aspect", sort=False):
        tried, used = (of_aspect.loc[of_aspect.tries == which] for which in (True, False))
        whole = _confusion(tried)
        strata = [_confusion(some) for _, some in tried.groupby("multiplier")]
        p = carries_over(strata)
        why = why_not(whole, p)
        multipliers = sorted(set(tried.multiplier.dropna()) | set(used.multiplier))
        for multiplier in (np.nan, *multipliers):
            own = tried if np.isnan(multiplier) else tried.loc[tried.multiplier == multiplier]
            rest = used if np.isnan(multiplier) else used.loc[used.multiplier == multiplier]
            parts.append(
                {"aspect": aspect, "source": source, "multiplier": multiplier}
                | _told(_confusion(own))
                | _rates(rest, whole, why)
                | {"same_everywhere_p": p, "not_corrected": why}
            )
    return pd.DataFrame(parts)


def why_not(judge: Confusion, p: float) -> str:
    """Why a judge's rates cannot be corrected by its errors; "" where they can."""
    if min(judge.n) < LEAST_KNOWN:
        return f"only {min(judge.n)} texts of one kind are labelled; {LEAST_KNOWN} are needed"
    if judge.worth < LEAST_WORTH:
        return f"sensitivity and specificity add up to {1 + judge.worth:.2f}, and {1 + LEAST_WORTH:g} is needed"
    if np.isnan(p):
        return "the multipliers of the labelled texts are unknown, so its errors may change with them"
    return f"its errors change with the multiplier (p = {p:.2g})" if p < RATE else ""


def gold_of_checker(samples: pd.DataFrame, concept: str) -> pd.DataFrame:
    """The checker's labels, between zero and one for each role, on every other query's texts. The rest is held out to test the
    correction."""
    language = language_of(concept)
    order = {name: number for number, name in enumerate(pd.unique(samples.pair))}
    some = samples.loc[samples.pair.map(order) % 2 == 0]
    checks = [
        language.check(query, f"{text} {EOS}" if ended else text)
        for query, text, ended in zip(some["query"], some.text, some.ended, strict=True)
    ]
    said = {
        CONCEPT: [(check.values[concept] + 1) / 2 for check in checks],
        COHERENCE: [float(check.valid) for check in checks],
    }
    return pd.concat([some[TEXT].assign(role=role, gold=gold) for role, gold in said.items()], ignore_index=True)


def gold_of_known(samples: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """The same from a user's labels (`query`, `text`, `gold`), for every sample with that query and text."""
    gold = pd.DataFrame(known.groupby(["query", "text"])["gold"].mean()).reset_index()
    return samples.merge(gold, on=["query", "text"])[[*TEXT, "gold"]].assign(role=CONCEPT)


def differences(scores: Sequence[tuple[Key, pd.DataFrame, pd.DataFrame, pd.DataFrame]]) -> pd.DataFrame:
    """How much more one steer's texts score than another's at the same multiplier, corrected for the judge's errors.

    For comparing steers by a judge that errs: the mean over all queries of the judge's paired differences, and what is known less
    what it says, over queries known under both steers, with a 95 % interval (prediction-powered inference, Angelopoulos et al.
    2023, Science 382:669). Only where the judge's errors carry over, by `why_not`, under both steers. Scores are shares from 0 to
    1, so that a difference lies between -1 and 1; `judged` is the judge's own.

    Args:
        scores: of each steer, in the order of the study: its key, the judge's scores, what is known of some of its texts, and
            how good the judge is.
    """
    rows = []
    for at, (one, *first) in enumerate(scores):
        for other, *second in scores[at + 1 :]:
            for aspect in pd.unique(first[0].loc[first[0].role.isin([CONCEPT, COHERENCE]), "aspect"]):
                if any(_not_corrected(table, aspect) for _, _, table in (first, second)):
                    continue
                said, true = (_apart(first, second, aspect, of) for of in ("value", "gold"))
                for multiplier in (m for m in said.index.unique("multiplier") if m):
                    judged = said.loc[multiplier].dropna()
                    known = true.loc[multiplier].reindex(judged.index) if multiplier in true.index else judged * np.nan
                    if (n := int(known.notna().sum())) < LEAST_QUERIES:
                        continue
                    estimate, interval = prediction_powered(judged.to_numpy(np.float64), known.to_numpy(np.float64))
                    rows.append(
                        one.columns()
                        | {
                            "against": other.steer, "aspect": aspect, "multiplier": multiplier, "judged": judged.mean(),
                            "difference": estimate, "low": interval.low, "high": interval.high, "n_queries": len(judged),
                            "n_known": n,
                        }
                    )  # fmt: skip
    return pd.DataFrame(rows)


def _not_corrected(table: pd.DataFrame, aspect: str) -> str:
    found = table.loc[table.aspect == aspect, "not_corrected"]
    return "nothing is known of it" if found.empty else str(found.iloc[0])


def _apart(first: Sequence[pd.DataFrame], second: Sequence[pd.DataFrame], aspect: str, column: str) -> pd.Series:
    """By multiplier and query that both steers have, the difference of their means over samples."""
    means = []
    for scores, gold, _ in (first, second):
        rows = scores.loc[scores.aspect == aspect]
        if column == "gold":
            rows = rows.merge(gold, on=[*TEXT, "role"])
        means.append(rows.groupby(["multiplier", "pair"])[column].mean())
    return (means[0] - means[1]).dropna()


def sentence_of_differences(table: pd.DataFrame, judge: str) -> str:
    """The difference furthest from zero, by its interval, and how many there are."""
    distance = np.maximum(table.low, -table.high)
    row = table.loc[distance.idxmax()]
    apart = int((distance > 0).sum())
    return (
        f"Corrected for the errors of {judge}, {apart} of {len(table)} differences between steers exclude zero. The clearest: at "
        f"m = {row.multiplier:.3g}, {row.aspect} under {Key.of(row.to_dict()).steer} less {row.against} is {row.difference:.2f} "
        f"[{row.low:.2f}, {row.high:.2f}] ({row.judged:.2f} by the judge alone)."
    )


def sentence(table: pd.DataFrame, judge: str) -> str:
    """How good a judge is, over all multipliers, and whether it is the same at all of them."""
    parts = []
    for row in table.loc[table.multiplier.isna()].to_dict("records"):
        why = row["not_corrected"]
        parts.append(
            f"on {row['aspect']} it finds {_share(row['sensitivity'])} of what is there, and {_share(row['specificity'])} of "
            f"what is not (κ {_kappa(row['kappa'])}); rates are {f'not corrected: {why}' if why else 'corrected'}"
        )
    return f"The judge {judge}, by {table.source.iloc[0]}: {'; '.join(parts)}."


def _share(value: float) -> str:
    return "an unknown share" if np.isnan(value) else f"{value:.2f}"


def _kappa(value: float) -> str:
    return "is unknown" if np.isnan(value) else f"= {value:.2f}"


def _confusion(rows: pd.DataFrame) -> Confusion:
    return Confusion.of(rows.true.to_numpy(bool), rows.said.to_numpy(bool), rows.pair.to_numpy(str))


def _told(found: Confusion) -> dict[str, float]:
    sensitivity, specificity = found.intervals
    return {
        **found.counts, "sensitivity": found.rates[0], "sensitivity_low": sensitivity.low,
        "sensitivity_high": sensitivity.high, "specificity": found.rates[1], "specificity_low": specificity.low,
        "specificity_high": specificity.high, "kappa": found.kappa,
    }  # fmt: skip


def _rates(rows: pd.DataFrame, judge: Confusion, why: str) -> dict[str, float]:
    """What the judge says of texts on which it was not tried, and what that comes to."""
    nothing: dict[str, float] = dict.fromkeys(("rate", "true_rate", "corrected", "low", "high"), np.nan)
    if rows.empty:
        return nothing
    rate = float(rows.said.mean())
    known = {"rate": rate, "true_rate": float(rows.true.mean()) if rows.true.notna().all() else np.nan}
    if why:
        return nothing | known
    n = independent_texts(rows.said.to_numpy(bool), rows.pair.to_numpy(str))
    estimate, interval = corrected(rate, n, judge)
    return known | {"corrected": estimate, "low": interval.low, "high": interval.high}
