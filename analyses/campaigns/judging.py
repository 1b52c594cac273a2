"""Claims over all cells of a campaign: corrected for how many tests they are, and their estimates combined."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm

from mechsteer.statistics.combining import combine
from mechsteer.statistics.judging import Outcome, as_corrected, as_counted, as_uncorrected, holm

RATE = 0.05
LEVELS = ("models", "concepts", "cells")
"""What a combined estimate may be over: the widest of which there are several."""
SAME = ["name", "claim", "part", "method", "form", "against", "unit", "condition"]
"""Rows that agree in these tell of one effect in different places."""
COMBINED = [
    *SAME, "estimate", "low", "high", "spread", "over", "n_groups", "n_combined", "n_cells",
    *(outcome.value for outcome in Outcome),
]  # fmt: skip


def corrected(claims: pd.DataFrame, primary: Collection[str]) -> pd.DataFrame:
    """With `is_primary`, `p_value`, `outcome` and `because` as they are when all tests of the campaign count.

    What the campaign was made for is held to Holm's, which bounds the chance of any false outcome; of the rest, Benjamini
    and Hochberg's bounds the share of outcomes that are false. Tests that decided nothing count. Each study's own correction is
    undone first.
    """
    claims = claims.assign(is_primary=claims["name"].isin(list(primary)) | claims["claim"].isin(list(primary)))
    p_values, outcomes = (
        claims["raw_p_value"].to_numpy(np.float64).copy(),
        claims["raw_outcome"].to_numpy(object).copy(),
    )
    because = claims["because"].map(as_uncorrected).to_numpy(object)
    for chosen, correct, procedure in (
        (claims.is_primary, holm, "Holm"), (~claims.is_primary, false_discovery_control, "Benjamini and Hochberg"),
    ):  # fmt: skip
        tested = chosen.to_numpy(bool) & np.isfinite(p_values)
        if not tested.any():
            continue
        undecided = outcomes[tested] == Outcome.INCONCLUSIVE.value
        p_values[tested] = correct(as_counted(p_values[tested], undecided, RATE))
        for index in np.flatnonzero(tested & (p_values > RATE) & (outcomes != Outcome.INCONCLUSIVE.value)):
            outcomes[index] = Outcome.INCONCLUSIVE.value
            because[index] = as_corrected(because[index], int(tested.sum()), procedure, p_values[index])
    return claims.assign(p_value=p_values, outcome=outcomes, because=because)


def combined(claims: pd.DataFrame) -> pd.DataFrame:
    """A row for each claim about one method and form under one condition: the estimate over all cells that have one.

    Cells differ in their models and concepts, concepts nested in models. An estimate without an interval of two ends cannot be
    weighed, so it is left out; `n_cells` counts it all the same. One cell alone keeps the interval that it has, lopsided or not,
    and has no spread.
    """
    effects = claims.loc[:, SAME].drop_duplicates().to_dict("records")
    rows = [effect | _over(of_effect(claims, effect)) for effect in effects]
    return pd.DataFrame(rows, columns=COMBINED)


def of_effect(claims: pd.DataFrame, effect: Mapping[str, Any]) -> pd.DataFrame:
    """The claims that tell of one effect, in whatever cell."""
    return claims.loc[np.all([claims[name] == effect[name] for name in SAME], axis=0)]


def _over(group: pd.DataFrame) -> dict[str, Any]:
    counts = {outcome.value: int((group.outcome == outcome.value).sum()) for outcome in Outcome}
    said: dict[str, Any] = {"n_cells": len(group), **counts}
    # The wider half: one that ends at a bound, as a share does at one, says nothing of its doubt there.
    errors = np.maximum(group.high - group.estimate, group.estimate - group.low) / norm.isf(0.025)
    known = group.loc[np.isfinite(group.estimate) & np.isfinite(errors)]
    if known.empty:
        nothing = dict.fromkeys(("estimate", "low", "high", "spread"), np.nan)
        return said | nothing | {"over": "", "n_groups": 0, "n_combined": 0}
    if len(known) == 1:
        own = known.iloc[0][["estimate", "low", "high"]].to_dict()
        return said | own | {"spread": np.nan, "over": "one cell", "n_groups": 1, "n_combined": 1}
    levels: list[Sequence[object]] = [known.model.tolist(), known.concept.tolist()]
    found = combine(known.estimate.tolist(), errors[known.index].tolist(), levels)
    interval = found.interval()
    return said | {
        "estimate": found.estimate, "low": interval.low, "high": interval.high, "spread": found.spread,
        "over": LEVELS[found.level], "n_groups": found.n_groups, "n_combined": len(known),
    }  # fmt: skip
