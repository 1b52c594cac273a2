"""Methods: what each gains where half a nat of utility is lost, at m = 1, and beside asking in words."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from analyses.evidence.comparison import as_judged
from mechsteer.families import form_title
from mechsteer.measuring.sweeps import Sweep
from mechsteer.store.keys import Key

from .. import frontier
from .found import Cell, Found, all_seeds, interval, number, steer, table

NAME = "methods"
TITLE = "Methods"
ORDER = 30

BUDGET = 0.5


def write(found: Found) -> str:
    """Two tables: the methods, and SPLIT against each of the others of its form; then the frontiers."""
    rows = [row for cell in found.cells for row in _of_cell(cell)]
    against = [
        cell.place | {
            "form": form_title(row["form"]), "SPLIT against": row["against"],
            "gains more": interval(row["difference"], row["low"], row["high"]),
            "outcome": row["outcome"], "seeds": row["n_seeds"],
        }
        for cell in found.cells for row in as_judged(cell.study.table("differences"), cell.study.claims).to_dict("records")
    ]  # fmt: skip
    about = (
        f"Gained at {BUDGET:g} nats is the most preference (nats) that any multiplier gains at which no more than {BUDGET:g} "
        "nats of utility are lost: the mean of both directions, with a 95 % interval over pairs and seeds, and each direction "
        "alone. A direction in which preference never moves as it should counts as zero. At m = 1, as the paper steers, "
        "gains and losses are means of both directions. Asking in words, where it was asked, has no multiplier; its gain and "
        "loss are in the columns for m = 1."
    )
    about_split = (
        "Differences are in the mean gain over losses up to half a nat, paired by seed. Outcomes are the claims', corrected for "
        "multiple tests; where no claim was asked, each follows from its own interval."
    )
    shown = found.pictures_of(
        frontier.NAME, frontier, "what each method gains at an equal loss of utility", found.cells
    )
    return "\n\n".join((table(rows), about, table(against), about_split, *shown))


def gains(cell: Cell) -> Iterator[tuple[Key, dict[str, Any], float, float]]:
    """For each method and form: the steer of its first seed, its row of the frontier where the budget is lost, and what all its
    seeds gain and lose at m = 1."""
    at_budgets = cell.study.table("frontier")
    for row in at_budgets.loc[np.isclose(at_budgets.budget, BUDGET)].to_dict("records"):
        sweeps = all_seeds(cell, row["method"], row["form"])
        at_one = [_at_one(sweep) for sweep in sweeps]
        gained, lost = np.mean([one for one in at_one if one is not None] or [(np.nan, np.nan)], axis=0)
        yield sweeps[0].key, row, float(gained), float(lost)


def _of_cell(cell: Cell) -> list[dict]:
    rows = [
        cell.place | steer(key) | {
            f"gained at {BUDGET:g} nats": interval(row["gained"], row["low"], row["high"]),
            "at m < 0": number(row["gained_negative"]), "at m > 0": number(row["gained_positive"]),
            "gained at m = 1": number(gained), "lost at m = 1": number(lost), "seeds": str(row["n_seeds"]),
        }
        for key, row, gained, lost in gains(cell)
    ]  # fmt: skip
    if cell.study.sums.has("prompting.parquet"):
        asked = cell.study.table("prompting").set_index("side").loc["both"]
        rows.append(
            cell.place | {
                "method": "asking in words", "form": "", f"gained at {BUDGET:g} nats": "", "at m < 0": "", "at m > 0": "",
                "gained at m = 1": number(asked["gained"]), "lost at m = 1": number(asked["lost"]), "seeds": "",
            }
        )  # fmt: skip
    return rows


def _at_one(sweep: Sweep) -> tuple[float, float] | None:
    """Preference gained and utility lost at m = 1 and -1, the mean of both; nothing where that was not swept."""
    at = [np.flatnonzero(np.isclose(sweep.multipliers, m)) for m in (-1, 1)]
    if not all(len(found) for found in at):
        return None
    low, high = (int(found[0]) for found in at)
    preference, lost = sweep.preference.mean(axis=1), np.nanmean(sweep.lost, axis=1)
    return float(preference[high] - preference[low]) / 2, float(lost[high] + lost[low]) / 2
