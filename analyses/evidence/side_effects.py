"""What steering one concept does to others: by log-odds on any model, and by an exact checker on the guestbook."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

import mechsteer as ms
from mechsteer import guestbook
from mechsteer.measuring.recommended_site import learning_and_judging

AT_ONCE = 512
"""Answers of the guestbook's small model written in one batch, each under its own multiplier."""


def on_other_pairs(
    model: ms.Model,
    intervention: ms.Intervention,
    others: Sequence[ms.Pairs],
    multipliers: Sequence[float],
    *,
    prompt_format: str = "raw",
    max_pairs: int = 64,
) -> pd.DataFrame:
    """Changes of preference and utility (nats, means over pairs) on pairs of other concepts."""
    grid = np.union1d(multipliers, [0.0])
    rows = []
    for pairs in others:
        sweep = ms.run_sweep(model, intervention, pairs[:max_pairs], grid, prompt_format=prompt_format, progress=False)
        zero = int(np.flatnonzero(grid == 0)[0])
        for index, multiplier in enumerate(grid):
            preference, utility = (values[index] - values[zero] for values in (sweep.preference, sweep.utility))
            rows.append((pairs.name, multiplier, preference.mean(), np.nanmean(utility), len(sweep.pairs)))
    columns = ["measured_on", "multiplier", "preference_change", "utility_change", "n_pairs"]
    return pd.DataFrame(rows, columns=columns)


def by_layer(
    model: ms.Model,
    pairs: ms.Pairs,
    sites: pd.DataFrame,
    place: str,
    others: Sequence[ms.Pairs],
    *,
    prompt_format: str = "raw",
    max_pairs: int = 32,
    seed: int = 0,
) -> pd.DataFrame:
    """The same for DiffMean at every layer of one place, at the two multipliers that cost half a nat of utility by the table of
    sites. A row for each layer, direction and other concept, beside the gain of the concept itself there (nats)."""
    learning, _ = learning_and_judging(pairs, seed)
    rows = sites.loc[sites.place == place].drop_duplicates("layer").set_index("layer")
    at = [ms.Site(int(layer), place) for layer in rows.index]
    parts = []
    for site, found in ms.diff_means(model, learning, at, prompt_format=prompt_format).items():
        row = rows.loc[site.layer]
        ends = (-row.useful_multiplier, row.useful_multiplier)
        effects = on_other_pairs(model, found.vector, others, ends, prompt_format=prompt_format, max_pairs=max_pairs)
        effects.insert(0, "layer", site.layer)
        effects.insert(1, "place", place)
        parts.append(effects.loc[effects.multiplier != 0].assign(useful_gain=row.useful_gain))
    return pd.concat(parts, ignore_index=True)


def on_the_guestbook(
    model: ms.Model,
    intervention: ms.Intervention,
    queries: Sequence[str],
    multipliers: Sequence[float],
    concept: str = guestbook.CONCEPTS[0],
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Exact shares and concept values of generated answers, by the checker of the language that has the concept.

    A concept's value is the mean over grammatical answers, from -1 to 1; `valid` is the share with nothing wrong.
    """
    language, grid = guestbook.language_of(concept), np.union1d(multipliers, [0.0])
    asked = [(float(multiplier), query) for multiplier in grid for query in queries]
    answers: list[str] = []
    for begin in range(0, len(asked), AT_ONCE):
        some = asked[begin : begin + AT_ONCE]
        with ms.steer(model, intervention, torch.tensor([multiplier for multiplier, _ in some])):
            answers += ms.generate(
                model, [query for _, query in some], temperature=1.0, seed=seed + begin, keep_special_tokens=True
            )
    checks = [language.check(query, answer) for (_, query), answer in zip(asked, answers, strict=True)]
    rows = []
    for index, multiplier in enumerate(grid):
        found = checks[index * len(queries) : (index + 1) * len(queries)]
        row = {"multiplier": multiplier, "n_answers": len(found)}
        for part in ("valid", "grammatical", "on_topic", "fitting", "agreeing", "ended"):
            row[part] = float(np.mean([getattr(check, part) for check in found]))
        for other in language.concepts:
            row[other] = float(np.mean([check.values[other] for check in found]))
        rows.append(row)
    return pd.DataFrame(rows)
