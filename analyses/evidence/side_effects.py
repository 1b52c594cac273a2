"""What steering one concept does to others: exactly on the guestbook, as log-odds on other pairs on any model."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

import mechsteer as ms
from mechsteer import guestbook


def on_other_pairs(
    model: ms.Model,
    intervention: ms.Intervention,
    others: Sequence[ms.Pairs],
    multipliers: Sequence[float],
    *,
    prompt_format: str = "raw",
    max_pairs: int = 64,
) -> pd.DataFrame:
    """Change of preference and utility (nats, means over pairs) on pairs of other concepts."""
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


def on_the_guestbook(
    model: ms.Model,
    intervention: ms.Intervention,
    queries: Sequence[str],
    multipliers: Sequence[float],
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Exact shares and concept values of generated answers, by the language's own checker.

    A concept's value is the mean over grammatical answers, from -1 to 1; `valid` is the share with nothing wrong.
    """
    rows = []
    for multiplier in np.union1d(multipliers, [0.0]):
        with ms.steer(model, intervention, float(multiplier)):
            answers = ms.generate(model, queries, temperature=1.0, seed=seed, keep_special_tokens=True)
        checks = [guestbook.check(query, answer) for query, answer in zip(queries, answers, strict=True)]
        row = {"multiplier": multiplier, "n_answers": len(checks)}
        for part in ("valid", "grammatical", "on_topic", "fitting", "agreeing", "ended"):
            row[part] = float(np.mean([getattr(check, part) for check in checks]))
        for concept in guestbook.CONCEPTS:
            row[concept] = float(np.mean([check.values[concept] for check in checks]))
        rows.append(row)
    return pd.DataFrame(rows)
