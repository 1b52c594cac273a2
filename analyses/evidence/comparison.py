"""Methods and forms on the preference-utility plane: what each gains at an equal loss of utility, and whether SPLIT gains more.

Pairs, training steps and validation split are held fixed. DiffMean has no steps and learns from all learning pairs; the other
methods learn from four fifths of them. Training seeds are paired: under seed 3, every method has the same initialisation and sees
pairs in the same order. arXiv 2602.02343 leaves the scale of m free, so multipliers themselves are not compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

import mechsteer as ms
from mechsteer.families import form_title
from mechsteer.measuring.frontier import TARGETS, Frontier, defined_everywhere
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import BUDGETS
from mechsteer.statistics.intervals import SeedsEstimate
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import COLUMNS, Key, labelled

SIDES = ("negative", "positive")
METHOD = "SPLIT"
"""The paper's own method, which is compared with every other."""
ONE_SEED = " With one training seed SPLIT is not ranked: another training may come out otherwise."
MORE = {Outcome.SUPPORTED: "it gains more", Outcome.REFUTED: "it gains less", Outcome.INCONCLUSIVE: "inconclusive"}
"""How an outcome of the claim that SPLIT gains more is put in words."""


@dataclass(frozen=True)
class Compared:
    """A method and form over all its training seeds."""

    key: Key
    frontier: Frontier
    guarded: Frontier
    """Read as the useful range is: on lines between multipliers, and only as far as a budget is first exceeded."""


@dataclass(frozen=True)
class Difference:
    """What SPLIT gains more than a rival (nats), by the frontier and by the guarded one; decided where both agree."""

    by_frontier: SeedsEstimate
    guarded: SeedsEstimate
    is_ranked: bool
    """Whether it may be decided: one training run ranks no method, not even against one that is not trained."""

    @classmethod
    def of(cls, split: Compared, rival: Compared) -> "Difference":
        return cls(
            split.frontier.area_difference(rival.frontier), split.guarded.area_difference(rival.guarded),
            split.frontier.n_seeds > 1,
        )  # fmt: skip

    @property
    def outcome(self) -> Outcome:
        """Whether SPLIT gains more: supported, refuted or inconclusive."""
        ends = [end for found in (self.by_frontier, self.guarded) for end in _ends(found)]
        if self.is_ranked and min(ends) > 0:
            return Outcome.SUPPORTED
        return Outcome.REFUTED if self.is_ranked and max(ends) < 0 else Outcome.INCONCLUSIVE

    @property
    def p_value(self) -> float:
        """Of no difference, the larger of both; NaN where it cannot be decided."""
        return max(self.by_frontier.p_value, self.guarded.p_value) if self.is_ranked else float("nan")

    def __str__(self) -> str:
        return (
            f"The difference is {told(self.by_frontier)}; on lines between multipliers, up to where a budget is first "
            f"exceeded, {told(self.guarded)}.{ONE_SEED * (not self.is_ranked)}"
        )


def _ends(found: SeedsEstimate) -> tuple[float, float]:
    interval = found.interval()
    return interval.low, interval.high


def told(difference: SeedsEstimate) -> str:
    """With its interval, where it has one."""
    low, high = _ends(difference)
    within = f" [{low:z.2f}, {high:z.2f}]" if np.isfinite([low, high]).all() else ""
    return f"{difference.estimate:+z.2f}{within}"


def over_seeds(sweep: Sweep) -> Key:
    """The key that sweeps of one method and form share across seeds."""
    return sweep.key.without("seed", "settings")


def frontiers(
    sweeps: Sequence[Sweep], seed: int = 0, budgets: Sequence[float] = BUDGETS
) -> dict[tuple[str, str], Compared]:
    """A frontier for each (method, form), over the sweeps of all its training seeds."""
    groups: dict[tuple[str, str], list[Sweep]] = {}
    for sweep in sweeps:
        groups.setdefault((sweep.method, sweep.form), []).append(sweep)
    defined = defined_everywhere(sweeps)

    def read(group: Sequence[Sweep], is_guarded: bool) -> Frontier:
        return ms.frontier(group, budgets=budgets, defined=defined, is_guarded=is_guarded, seed=seed)

    return {
        name: Compared(over_seeds(group[0]), read(group, False), read(group, True)) for name, group in groups.items()
    }


def table(found: dict[tuple[str, str], Compared]) -> pd.DataFrame:
    """A row for each method, form and budget (nats of utility). The row without a budget holds the area and the cost of gains."""
    parts = []
    for compared in found.values():
        item, rows = compared.frontier, []
        by_side = {
            "gained": item.gained_by_side, "multiplier": item.multiplier, "relative_shift": item.relative_shift,
            "accuracy": item.accuracy,
        }  # fmt: skip
        for index, budget in enumerate(item.budgets):
            interval = item.interval(budget)
            rows.append(
                {"budget": budget, "gained": item.gained[index], "low": interval.low, "high": interval.high}
                | {
                    f"{name}_{side}": values[at, index]
                    for name, values in by_side.items()
                    for at, side in enumerate(SIDES)
                }
            )
        interval = item.area_interval
        costs = product(enumerate(TARGETS), enumerate(SIDES))
        cost = {
            f"cost_of_{target:g}_{side}": item.cost[at, index] if np.isfinite(item.cost[at, index]) else np.nan
            for (index, target), (at, side) in costs
        }
        rows.append({"budget": float("nan"), "gained": item.area, "low": interval.low, "high": interval.high} | cost)
        parts.append(labelled(pd.DataFrame(rows).assign(n_seeds=item.n_seeds), compared.key))
    return pd.concat(parts, ignore_index=True)


def differences(found: dict[tuple[str, str], Compared]) -> pd.DataFrame:
    """SPLIT's area minus that of every other method of the same form, with paired intervals and whether SPLIT gains more."""
    parts = []
    for (method, form), other in found.items():
        split = found.get((METHOD, form))
        if split is None or method == METHOD:
            continue
        difference = Difference.of(split, other)
        interval = difference.by_frontier.interval()
        row = {
            "against": method,
            "difference": difference.by_frontier.estimate,
            "low": interval.low,
            "high": interval.high,
            "outcome": difference.outcome.value,
            "n_seeds": max(other.frontier.n_seeds, split.frontier.n_seeds),
        }
        parts.append(labelled(pd.DataFrame([row]), split.key))
    columns = [*COLUMNS, "against", "difference", "low", "high", "outcome", "n_seeds"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def as_judged(rows: pd.DataFrame, claims: Sequence[Claim]) -> pd.DataFrame:
    """The differences with the intervals and outcomes of their claims, which are corrected for multiple tests.

    A claim with too few pairs has no interval, so the difference keeps its own.
    """
    judged = {(claim.key, claim.against): claim for claim in claims if claim.claim == "split_wins"}
    rows = rows.copy()
    for index, row in zip(rows.index, rows.to_dict("records"), strict=True):
        claim = judged.get((Key.of(row), str(row["against"])))
        if claim is not None:
            for end in ("low", "high"):
                if np.isfinite(bound := getattr(claim.interval, end)):
                    rows.loc[index, end] = bound
            rows.loc[index, "outcome"] = claim.outcome.value
    return rows


def sentences(rows: pd.DataFrame, n_tried: int) -> list[str]:
    """For each form: how much more SPLIT gains than every rival, and the outcome."""
    found, tuned = [], "untuned" if n_tried == 1 else f"each the best of {n_tried} settings"
    words = {outcome.value: word for outcome, word in MORE.items()}
    for form in dict.fromkeys(rows.form):
        group = rows.loc[rows.form == form]
        listed = ", ".join(
            f"{row.difference:+.2f} [{row.low:.2f}, {row.high:.2f}] against {row.against} ({words[row.outcome]})"
            for row in group.itertuples()
        )
        seeds = int(group.n_seeds.max())
        within = "pairs" if seeds == 1 else f"pairs and {seeds} training seeds"
        found.append(
            f"As a {form_title(form)}, SPLIT's gain minus its rival's, in nats of preference: {listed}. "
            f"Intervals are 95 % over {within}; methods are {tuned}.{ONE_SEED * (seeds == 1)}"
        )
    return found
