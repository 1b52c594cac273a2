"""Studies compared: what a steer gains in one and in another, paired by pair and seed where both measured the same."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.errors import InputError
from mechsteer.measuring.frontier import Frontier, defined_everywhere, frontier
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import BUDGETS
from mechsteer.pairs.reading import load_pairs
from mechsteer.statistics.intervals import SeedsEstimate
from mechsteer.statistics.judging import holm

from .finished import Study

LEAST_SHARED = 8
"""Pairs that two studies must both have measured to be compared on these alone: fewer say too little of their difference."""
Texts = tuple[str, ...]


def compare(studies: Sequence[Study], labels: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Each later study against the first: gains of every method and form that both have, and their difference (nats).

    A row without a budget is of the mean gain over losses of utility up to a half. Where at least `LEAST_SHARED` pairs were
    measured in both, only these count, and differences are paired by them (`n_paired`), as they are by the training seeds that
    both have; else the two are independent, and the interval is Welch's. `p_value` is of no difference, corrected for all rows
    without a budget (Holm); the budgets are looks at the same.
    """
    if len(studies) < 2:
        raise InputError("One study came. Pass two or more to compare: each is set against the first.")
    first, parts = studies[0], []
    for study, label in zip(studies[1:], labels[1:], strict=True):
        for method, form in _shared_steers(first, study):
            ours, theirs = _of(first, method, form), _of(study, method, form)
            rows = pd.DataFrame(_differences(ours, theirs, _texts(first), _texts(study), seed))
            parts.append(rows.assign(study=label, against=labels[0], method=method, form=form))
    if not parts:
        raise InputError("These studies have no method and form in common, so nothing can be compared.")
    table = pd.concat(parts, ignore_index=True)
    tested = table.budget.isna() & table.p_value.notna()
    table["p_value"] = table.p_value.where(table.budget.isna())
    table.loc[tested, "p_value"] = holm(table.loc[tested, "p_value"].to_numpy(np.float64))
    last = [name for name in table if name not in ("study", "against", "method", "form", "budget")]
    return table.loc[:, ["study", "against", "method", "form", "budget", *last]]


def _shared_steers(first: Study, other: Study) -> list[tuple[str, str]]:
    there = {(sweep.method, sweep.form) for sweep in other.sweeps}
    return [steer for steer in dict.fromkeys((sweep.method, sweep.form) for sweep in first.sweeps) if steer in there]


def _of(study: Study, method: str, form: str) -> dict[int | None, Sweep]:
    return {sweep.key.seed: sweep for sweep in study.sweeps if (sweep.method, sweep.form) == (method, form)}


def _texts(study: Study) -> dict[str, Texts]:
    """What each measured pair says, by the name that its sweeps have for it."""
    pairs = load_pairs(study.sums.path("pairs.jsonl"))
    return {pair.id or str(at): pair.texts for at, pair in enumerate(pairs)}


def _differences(
    first: dict[int | None, Sweep], other: dict[int | None, Sweep], named: dict[str, Texts],
    other_named: dict[str, Texts], seed: int,
) -> Iterator[dict[str, object]]:  # fmt: skip
    """A row for each budget, and one for all of them."""
    seeds = [which for which in first if which in other]
    both = [list(some[which] for which in seeds or some) for some in (first, other)]
    columns = _shared(both[0][0], both[1][0], named, other_named)
    if is_paired := len(columns[0]) >= LEAST_SHARED:
        both = [[_only(sweep, at) for sweep in some] for some, at in zip(both, columns, strict=True)]
        known = defined_everywhere([*both[0]]) & defined_everywhere([*both[1]])
        ours, theirs = (frontier(some, defined=known, seed=seed) for some in both)
    else:
        # Draws of pairs that have nothing to do with each other.
        ours, theirs = (frontier(some, seed=seed + at) for at, some in enumerate(both))
    for budget in (None, *BUDGETS):
        (mine, drawn), (its, its_drawn) = (_gained(one, budget) for one in (ours, theirs))
        if is_paired and seeds:
            found = SeedsEstimate.of(its - mine, its_drawn - drawn, theirs.n_pairs)
        else:
            found = _apart(
                SeedsEstimate.of(mine, drawn, ours.n_pairs), SeedsEstimate.of(its, its_drawn, theirs.n_pairs)
            )
        interval = found.interval()
        yield {
            "budget": np.nan if budget is None else budget, "gained": float(its.mean()), "gained_against": float(mine.mean()),
            "difference": found.estimate, "low": interval.low, "high": interval.high, "p_value": found.p_value,
            "n_pairs": theirs.n_pairs, "n_paired": theirs.n_pairs if is_paired and seeds else 0, "n_seeds": len(its),
        }  # fmt: skip


def _gained(one: Frontier, budget: float | None) -> tuple[Float[ndarray, " seeds"], Float[ndarray, " resamples"]]:
    """By seed, and with pairs drawn again."""
    if budget is None:
        return one.area_by_seed, one.area_samples
    at = one.budgets.index(budget)
    return one.gained_by_seed[:, at], one.gained_samples[:, at]


def _apart(first: SeedsEstimate, other: SeedsEstimate) -> SeedsEstimate:
    """The difference of two that share nothing (Welch)."""
    parts = [(one.error**2, one.freedom) for one in (first, other)]
    total = sum(variance for variance, _ in parts)
    share = sum(variance**2 / freedom for variance, freedom in parts if freedom)
    return SeedsEstimate(other.estimate - first.estimate, float(np.sqrt(total)), total**2 / share if share > 0 else 1.0)


def _shared(
    first: Sweep, other: Sweep, named: dict[str, Texts], other_named: dict[str, Texts]
) -> tuple[list[int], list[int]]:
    """Where in each sweep the pairs stand that both have, in the first one's order."""
    place = {other_named[name]: at for at, name in enumerate(other.pairs)}
    shared = [(at, place[texts]) for at, name in enumerate(first.pairs) if (texts := named[name]) in place]
    return [at for at, _ in shared], [at for _, at in shared]


def _only(sweep: Sweep, columns: Sequence[int]) -> Sweep:
    """The sweep of some of its pairs."""
    at = np.array(columns, dtype=np.int64)
    values = {item.name: getattr(sweep, item.name) for item in fields(sweep) if item.name != "multipliers"}
    arrays = {name: value[..., at] for name, value in values.items() if isinstance(value, np.ndarray)}
    return replace(sweep, pairs=tuple(sweep.pairs[column] for column in columns), **arrays)
