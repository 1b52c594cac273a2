"""Undecided: what could not be said, and the reason that each study gives."""

from collections import Counter

from mechsteer.statistics.judging import Outcome

from .found import Found, table

NAME = "undecided"
TITLE = "What could not be decided"
ORDER = 50


def write(found: Found) -> str:
    """A row for each claim that is undecided somewhere: where, and the first reason given."""
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
                "because, first": group.because.iloc[0],
            }
        )
    return table(rows)
