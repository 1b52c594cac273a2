"""Two options: accuracy as the paper counts it, and what a steer does for the concept beside what it does for an answer."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Shaped
from numpy import ndarray
from scipy.stats import norm

from analyses.evidence.two_options import BIAS_APART, BIAS_GAINED, CONCEPT, prefers
from mechsteer.measuring.log_odds import log_useful_probability
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.intervals import N_RESAMPLES, SeedsEstimate, resampled_means
from mechsteer.store.keys import Key, rows_of

from .found import Cell, Found, all_seeds, first_seeds, interval, steer, table

NAME = "two_options"
TITLE = "Two options"
ORDER = 35

PAPER = (
    "For Psychopathy on Gemma-2-9B-it at m = 1, the paper reports 50 % unsteered; with vectors 53 % for DiffMean, 97 % for SFT "
    "and 99 % for SPLIT; with LoRAs 100 % for SFT and for SPLIT."
)


def write(found: Found) -> str:
    """A row for each method and form of each cell whose pairs are two answers to choose from."""
    rows = [
        _row(cell, key)
        for cell in found.cells if cell.study.sums.has("two_options.parquet") for key in first_seeds(cell)
    ]  # fmt: skip
    about = (
        "The two answers' probability is what they have together among all that the model could answer, as they were "
        "measured, which in a chat is with the end of the turn after them. It is the median over pairs; where it is "
        "tiny, preference is between two answers that the model does not give. Accuracy is the share of pairs that "
        "prefer the concept's answer: the mean over training seeds, with 95 % intervals over pairs and seeds. Where "
        "each answer is the concept's in half of the pairs, this is the paper's accuracy. An answer that becomes "
        "likelier in pairs of both kinds gains by bias, not by the concept, and brings accuracy to one half. What the "
        "concept gains at m = -1 as well as at m = 1 is none of the steer's direction. Concept and bias (nats) and "
        "the share of pairs that the steer moves against the concept once its bias is removed are means over seeds "
        f"too. {PAPER}"
    )
    return "\n\n".join((table(rows), about))


def _row(cell: Cell, key: Key) -> dict[str, str]:
    sweeps = all_seeds(cell, key.method, key.form)
    table = cell.study.table("two_options")
    seeds = [rows_of(table, sweep.key) for sweep in sweeps]
    first = table.iloc[0]
    return cell.place | steer(key) | {
        "concept's answer": f"{first.answer} in {first.n_answer}, {first.other_answer} in {first.n_other}",
        "the two answers' probability at m = 0": _mass(sweeps[:1], 0.0), "their probability at m = 1": _mass(sweeps, 1.0),
        "accuracy at m = -1": _accuracy(sweeps, -1.0), "accuracy at m = 0": _accuracy(sweeps[:1], 0.0),
        "accuracy at m = 1": _accuracy(sweeps, 1.0), "concept gained at m = -1": _told(seeds, CONCEPT, -1.0),
        "concept gained at m = 1": _told(seeds, CONCEPT, 1.0), "answer bias gained at m = 1": _told(seeds, BIAS_GAINED, 1.0),
        "anti-steerable, answer bias removed": _told(seeds, BIAS_APART), "seeds": str(len(sweeps)),
    }  # fmt: skip


def _accuracy(sweeps: list[Sweep], multiplier: float) -> str:
    if (by_seed := _at(multiplier, sweeps, prefers)) is None:
        return "–"
    again = resampled_means(by_seed.mean(axis=0)[None], N_RESAMPLES)[:, 0]
    mean = SeedsEstimate.of(by_seed.mean(axis=1), again, by_seed.shape[1])
    ends = mean.interval()
    return interval(mean.estimate, *np.clip([ends.low, ends.high], 0, 1))


def _mass(sweeps: list[Sweep], multiplier: float) -> str:
    """Of the middle pair, the mean over seeds."""
    logs = _at(multiplier, sweeps, lambda sweep: log_useful_probability(sweep.loss_positive, sweep.loss_negative))
    return "–" if logs is None else f"{np.nanmedian(np.exp(logs), axis=1).mean():.2g}"


def _at(
    multiplier: float, sweeps: list[Sweep], values: Callable[[Sweep], Shaped[ndarray, "m pairs"]]
) -> Shaped[ndarray, "seeds pairs"] | None:
    """What each seed's sweep has there; None where one was not swept there."""
    at = [np.flatnonzero(np.isclose(sweep.multipliers, multiplier)) for sweep in sweeps]
    if not all(map(len, at)):
        return None
    return np.array([values(sweep)[found[0]] for sweep, found in zip(sweeps, at, strict=True)])


def _told(seeds: list[pd.DataFrame], quantity: str, multiplier: float | None = None) -> str:
    """The mean over seeds, whose errors over pairs are taken for one: all have the same pairs. A dash where a seed has none."""
    found = []
    for rows in seeds:
        rows = rows.loc[rows.quantity == quantity]
        if multiplier is not None:
            rows = rows.loc[np.isclose(rows.multiplier, multiplier)]
        if rows.empty:
            return "–"
        found.append(rows.iloc[0])
    if len(found) == 1:
        return interval(*found[0][["estimate", "low", "high"]].to_numpy())
    error = np.mean([(row.high - row.low) / (2 * norm.isf(0.025)) for row in found])
    estimates, n_pairs = np.array([row.estimate for row in found]), int(found[0].n_answer + found[0].n_other)
    mean = SeedsEstimate.of(estimates, estimates.mean() + np.array([-error, error]), n_pairs)
    ends = mean.interval()
    low, high = np.clip([ends.low, ends.high], 0, 1) if quantity == BIAS_APART else (ends.low, ends.high)
    return interval(mean.estimate, low, high)
