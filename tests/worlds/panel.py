"""A panel of directions in families, whose harm comes from the distance they gain or from what the output makes of them."""

import numpy as np
import pandas as pd
from scipy.special import expit

from analyses.evidence.panel import CANDIDATES, N_CONFIRMED
from mechsteer.manifolds.metrics import METRICS, RAW
from mechsteer.store.keys import Key, labelled

KEY = Key(sites="1:resid_mid", pairs="planted", weights="none")
N_FAMILIES, N_ANSWERS = 9, 16
"""As in a study, and as many answers to each direction."""
APART = 0.3
"""Spread of what a direction costs single pairs (nats)."""
OF_FAMILY = 0.5
"""Share of every quantity's variance that lies between families."""


def panel(
    effect: float = 1.5, *, fisher: float = 0.5, alike: float = 0.3, agree: float = 0.8, halves: float = 0.1,
    n_answers: int = N_ANSWERS, n_pairs: int = 8, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Directions at the length by which claims are judged.

    Args:
        effect: of a standard deviation of distance on the log-odds of an invalid answer, the Fisher form held fixed.
        fisher: of a standard deviation of the Fisher form.
        alike: correlation of distance with the Fisher form.
        agree: correlation of the distance in another metric with the raw one.
        halves: spread between two halves of the tokens.
        n_answers: written under each direction; an even number.
        n_pairs: directions of a family; a panel's units are directions.
    """
    rng = np.random.default_rng([seed, 8])
    family = np.repeat(np.arange(N_FAMILIES), n_pairs)

    def score() -> np.ndarray:
        own, shared = rng.standard_normal(len(family)), rng.standard_normal(N_FAMILIES)[family]
        return np.sqrt(OF_FAMILY) * shared + np.sqrt(1 - OF_FAMILY) * own

    def mixed(one: np.ndarray, share: float) -> np.ndarray:
        return share * one + np.sqrt(1 - share**2) * score()

    distance = score()
    form = mixed(distance, alike)
    harm = expit(-1.5 + effect * distance + fisher * form)
    invalid = rng.binomial(n_answers, harm)
    # Which half of the answers they are among does not touch what else is drawn.
    of_first = np.random.default_rng([seed, 10]).hypergeometric(invalid, n_answers - invalid, n_answers // 2)
    seen, first, second = invalid / n_answers, 2 * of_first / n_answers, 2 * (invalid - of_first) / n_answers
    table = pd.DataFrame(
        {"family": [f"family {index}" for index in family], "direction": np.arange(len(family)), "budget": 0.5, "length": 1.0,
         "relative_shift": 0.5, "incoherence": seen, "incoherence 0": first, "incoherence 1": second,
         "incoherence_error": np.sqrt(seen * (1 - seen) / (n_answers - 1)), "harm_unit": "share", "fisher": np.exp(form),
         "divergence": np.exp(form), "lost": harm, "neutral_lost": harm, "second moment": np.exp(mixed(form, 0.5)),
         "conditional": np.exp(score())}
    )  # fmt: skip
    for metric in METRICS:
        seen = distance if metric == RAW else mixed(distance, agree)
        parts = {suffix: seen + halves * rng.standard_normal(len(seen)) for suffix in (" 0", " 1")}
        table = table.assign(**{f"neighbours, {metric}": seen})
        table = table.assign(**{f"neighbours, {metric}{suffix}": part for suffix, part in parts.items()})
    return labelled(table, KEY)


def candidates(
    lost: float = 0.0, *, harm: float = 0.0, gained: float = 3.0, n_pairs: int = N_CONFIRMED, seed: int = 0
) -> pd.DataFrame:
    """A panel of which two directions were measured again, with as many answers as pairs: what they lose, how many more answers
    are invalid, what they gain."""
    rng = np.random.default_rng([seed, 9])
    rows = []
    for name in CANDIDATES:
        answers = rng.binomial(1, np.clip(0.02 + harm, 0, 1), n_pairs) - rng.binomial(1, 0.02, n_pairs)
        row = {"family": "a family", "relative_shift": 0.5, "harm_unit": "share", "n_pairs": n_pairs}
        row |= {"n_answers": len(answers), "confirmed_harm": answers.mean()}
        row |= {"confirmed_harm_error": answers.std(ddof=1) / np.sqrt(len(answers))}
        for quantity, mean, spread in (("lost", lost, APART), ("gained", gained, 1.0)):
            values = mean + spread * rng.standard_normal(n_pairs)
            row |= {f"confirmed_{quantity}": values.mean()}
            row |= {f"confirmed_{quantity}_error": values.std(ddof=1) / np.sqrt(n_pairs)}
        rows.append(row | {part: part == name for part in CANDIDATES})
    return labelled(pd.DataFrame(rows), KEY)
