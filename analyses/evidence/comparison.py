"""Methods and forms on the preference-utility plane: what each gains at an equal loss of utility, and whether SPLIT wins.

The comparison holds pairs, training steps and validation split fixed (DiffMean, which has no steps, learns from all
learning pairs, the others from four fifths of them) (arXiv 2602.02343 leaves the scale of m free, so
multipliers themselves are not compared).
"""

from collections.abc import Sequence

import pandas as pd

import mechsteer as ms
from mechsteer.measuring.frontier import Frontier, defined_everywhere
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.judging import Claim, Outcome


def frontiers(sweeps: Sequence[Sweep], seed: int = 0) -> dict[tuple[str, str], Frontier]:
    """By (method, form), over the sweeps of all its training seeds."""
    groups: dict[tuple[str, str], list[Sweep]] = {}
    for sweep in sweeps:
        groups.setdefault((sweep.method, sweep.form), []).append(sweep)
    defined = defined_everywhere(sweeps)
    return {key: ms.frontier(group, defined=defined, seed=seed) for key, group in groups.items()}


def table(found: dict[tuple[str, str], Frontier]) -> pd.DataFrame:
    """A row for each method, form and budget (nats of utility); the area is the row without a budget."""
    rows = []
    for (method, form), item in found.items():
        label = {"method": method, "form": form, "n_seeds": item.n_seeds}
        for index, budget in enumerate(item.budgets):
            interval = item.interval(budget)
            rows.append(
                label
                | {"budget": budget, "gained": item.gained[index], "low": interval.low, "high": interval.high}
                | {f"multiplier_{side}": item.multiplier[at, index] for at, side in enumerate(("negative", "positive"))}
                | {
                    f"relative_shift_{side}": item.relative_shift[at, index]
                    for at, side in enumerate(("negative", "positive"))
                }
            )
        interval = item.area_interval
        rows.append(label | {"budget": float("nan"), "gained": item.area, "low": interval.low, "high": interval.high})
    return pd.DataFrame(rows)


def differences(found: dict[tuple[str, str], Frontier]) -> pd.DataFrame:
    """SPLIT's area minus that of every other method of the same form, with paired intervals, and who wins."""
    rows = []
    for (method, form), item in found.items():
        split = found.get(("SPLIT", form))
        if split is None or method == "SPLIT":
            continue
        estimate, interval = split.area_difference(item)
        outcome = "wins" if interval.low > 0 else "loses" if interval.high < 0 else "undecided"
        rows.append((form, method, estimate, interval.low, interval.high, outcome, max(item.n_seeds, split.n_seeds)))
    return pd.DataFrame(rows, columns=["form", "against", "difference", "low", "high", "split", "n_seeds"])


def as_judged(rows: pd.DataFrame, claims: Sequence[Claim]) -> pd.DataFrame:
    """The differences with the intervals and outcomes of the claims about them, which are corrected for many tests.

    A claim that was not judged, for lack of pairs, has no interval; the difference keeps its own.
    """
    words = {Outcome.SUPPORTED: "wins", Outcome.REFUTED: "loses", Outcome.INCONCLUSIVE: "undecided"}
    low, high = (pd.Series([getattr(claim.interval, end) for claim in claims], rows.index) for end in ("low", "high"))
    return rows.assign(
        low=low.fillna(rows.low),
        high=high.fillna(rows.high),
        split=[words[claim.outcome] for claim in claims],
    )


def sentences(rows: pd.DataFrame) -> list[str]:
    """A plain sentence for each form: where SPLIT wins, where it loses, where the data do not tell."""
    found = []
    for form in dict.fromkeys(rows.form):
        group = rows.loc[rows.form == form]
        parts = []
        for outcome, words in (("wins", "beats"), ("loses", "loses to"), ("undecided", "cannot be told from")):
            chosen = group.loc[group["split"] == outcome]
            if len(chosen):
                listed = [
                    f"{row.against} ({row.difference:+.2f} [{row.low:.2f}, {row.high:.2f}])"
                    for row in chosen.itertuples()
                ]
                parts.append(f"{words} {' and '.join(listed)}")
        seeds = group.n_seeds.max()
        within = "pairs" if seeds == 1 else f"pairs and {seeds} training seeds"
        found.append(
            f"As a {form.replace('_', ' ')}, SPLIT {'; it '.join(parts)}: nats of preference, 95 % over {within}."
        )
    return found
