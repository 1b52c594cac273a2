"""Refuted: what did not hold, and the reason that each study gives."""

from mechsteer.statistics.judging import Outcome

from .found import Found, interval, place_of, steer_of, table

NAME = "refuted"
TITLE = "What did not hold"
ORDER = 49


def write(found: Found) -> str:
    """A row for each claim that a cell refutes."""
    claims = found.claims
    rows = [
        {"claim": row["name"], "about": steer_of(row)} | place_of(row) | {
            "estimate": interval(row["estimate"], row["low"], row["high"]), "unit": row["unit"], "reason": row["because"],
        }
        for row in claims.loc[claims.outcome == Outcome.REFUTED.value].to_dict("records")
    ]  # fmt: skip
    return table(rows) if rows or claims.empty else "Of the claims that were asked, none is refuted."
