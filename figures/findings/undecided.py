"""Undecided: what could not be said, the reason that each study gives, and how many pairs it would take."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil, isfinite
from typing import Any

from scipy.stats import norm

from analyses.claims import CLAIMS, split_wins
from analyses.evidence.comparison import as_judged
from mechsteer.families import form_title
from mechsteer.statistics.judging import Outcome

from .found import Cell, Found, interval, place_of, steer_of, table

NAME = "undecided"
TITLE = "What could not be decided"
ORDER = 50

PAIRS = "pairs"
MOST = 1000.0
"""Times as many, beyond which no number is told."""
ABOUT = (
    "*Would take* is as many measured pairs as would narrow the interval until no bound lies within it, were the estimate to "
    "stay where it is: widths fall with the square root of their number. Of a primary claim it is until Holm's strictest step is "
    "passed. Differences between methods need as many times the training seeds as well. Undecided claims that are not listed "
    "lack something else, or rest on more than one interval; the first table has their reasons."
)


def write(found: Found) -> str:
    """A row for each claim that is undecided somewhere: where, and the first reason given; then what each would take."""
    claims = found.claims
    undecided = claims.loc[claims.outcome == Outcome.INCONCLUSIVE.value]
    rows = []
    for name, group in undecided.groupby("name", sort=False):
        where = Counter(f"{row['model']}, {row['concept']}" for row in group.to_dict("records"))
        asked = int((claims["name"] == name).sum())
        rows.append(
            {
                "claim": name,
                "undecided": f"{len(group)} of {asked}",
                "where": "; ".join(where),
                "reason, of the first": group.because.iloc[0],
            }
        )
    cells = {cell.name: cell for cell in found.cells}
    n_primary = len(claims.loc[claims["is_primary"] & claims["raw_p_value"].notna()]) if len(claims) else 0
    takes = [
        row for claim in undecided.to_dict("records")
        if (row := _takes(claim, cells[claim["cell"]], n_primary if claim["is_primary"] else 1))
    ]  # fmt: skip
    compared = set(claims.loc[claims["claim"] == "split_wins", "cell"])
    takes += [row for cell in found.cells if cell.name not in compared for row in _differences(cell)]
    return "\n\n".join((table(rows), table(takes), ABOUT))


def times_as_many(
    estimate: float, low: float, high: float, bounds: Sequence[float], n_tests: int = 1, *, either: bool = False
) -> float | None:
    """How many times as many until no bound (or one, with `either`) lies within the interval; None where more would not help."""
    if not all(map(isfinite, (estimate, low, high))):
        return None
    stricter = norm.isf(0.025 / max(n_tests, 1)) / norm.isf(0.025)
    needed = []
    for bound in bounds:
        reach = stricter * (estimate - low if bound < estimate else high - estimate)
        needed.append((reach / abs(estimate - bound)) ** 2 if estimate != bound else float("inf"))
    times = (min if either else max)(needed, default=0.0)
    return times if times > 1 else None


def _takes(claim: Mapping[str, Any], cell: Cell, n_tests: int) -> dict[str, str] | None:
    judged = CLAIMS.load(claim["claim"]) if claim["claim"] in CLAIMS.members() else None
    if claim["because"].startswith(getattr(judged, "GATES", ())):
        return None
    bounds = getattr(judged, "BOUNDS", {}).get(claim["part"], ())
    times = times_as_many(
        claim["estimate"], claim["low"], claim["high"], bounds, n_tests,
        either=claim["part"] in getattr(judged, "EITHER", ()),
    )  # fmt: skip
    if times is None:
        return None
    what = getattr(judged, "OVER", PAIRS)
    return {"claim": claim["name"]} | place_of(claim) | {
        "about": steer_of(claim), "estimate": interval(claim["estimate"], claim["low"], claim["high"]),
        "bounds": ", ".join(f"{bound:g}" for bound in bounds), "would take": _told(times, cell, what),
    }  # fmt: skip


def _differences(cell: Cell) -> list[dict[str, str]]:
    """Of methods, where no claim was asked."""
    if not cell.study.sums.has("differences.parquet"):
        return []
    rows = []
    for row in as_judged(cell.study.table("differences"), cell.study.claims).to_dict("records"):
        times = times_as_many(row["difference"], row["low"], row["high"], split_wins.BOUNDS[""])
        if row["outcome"] == Outcome.INCONCLUSIVE.value and times is not None:
            rows.append(
                {"claim": "SPLIT gains more"} | cell.place | {
                    "about": f"SPLIT {form_title(row['form'])} against {row['against']}",
                    "estimate": interval(row["difference"], row["low"], row["high"]), "bounds": "0",
                    "would take": _told(times, cell, PAIRS),
                }
            )  # fmt: skip
    return rows


def _told(times: float, cell: Cell, what: str) -> str:
    """In so many pairs; of what else an interval is over, by how many times as many."""
    if times > MOST:
        return f"more than {MOST:,.0f} times as many {what}"
    if what != PAIRS:
        return f"{times:.1f} times as many {what}"
    return f"{ceil(times * len(cell.study.sweeps[0].pairs)):,} pairs, not {len(cell.study.sweeps[0].pairs)}"
