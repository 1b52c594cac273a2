"""Verdicts: which claims hold, a column for each model, before all details."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analyses.claims import CLAIMS
from mechsteer.statistics.judging import Outcome

from .found import Found, interval, table

NAME = "verdicts"
TITLE = "What holds"
ORDER = 5


def write(found: Found) -> str:
    """For each pair set on which something was decided, a row for each claim, decided ones first, and a column for each model."""
    usual = found.claims.loc[found.claims["condition"] == ""]
    if usual.empty and not found.claims.empty:
        return "Every cell differs from the plan's other cells in a setting, so none is the usual one; the claims are told below."
    if usual.empty:
        return table([])
    parts, open_everywhere = [], []
    for concept, claims in usual.groupby("concept", sort=False):
        if (claims["outcome"] == Outcome.INCONCLUSIVE.value).all():
            open_everywhere.append(f"{concept} ({len(claims)})")
        else:
            parts += [f"On {concept}:", table(_rows(claims))]
    if parts:
        parts.append(
            "Estimates have 95 % intervals; outcomes are corrected over the campaign where a claim has a p-value. Where one is "
            "about several steers or seeds, each is counted. Sections further down say what was measured."
        )
    if open_everywhere:
        parts.append(f"Of claims on {', '.join(open_everywhere)}, as many as the brackets say, none is decided.")
    return "\n\n".join(parts)


def _rows(claims: pd.DataFrame) -> list[dict[str, str]]:
    models = list(dict.fromkeys(claims["model"]))
    parts = [part for _, part in claims.groupby(["claim", "part"], sort=False)]
    parts.sort(key=lambda part: (part["outcome"] == Outcome.INCONCLUSIVE.value).all())
    return [
        {"claim": title(part.to_dict("records")[0])} | {model: verdicts(part.loc[part["model"] == model]) for model in models}
        | {"unit": part["unit"].iloc[0]}
        for part in parts
    ]  # fmt: skip


def verdicts(claims: pd.DataFrame) -> str:
    """What came of a claim on one model: its outcome and estimate, or of several how many came out how."""
    if len(claims) == 1:
        (row,) = claims.to_dict("records")
        return f"{_word(row['outcome'])}: {interval(row['estimate'], row['low'], row['high'])}".removesuffix(": –")
    counts = claims["outcome"].value_counts()
    return ", ".join(f"{counts[one.value]} {_word(one.value)}" for one in Outcome if one.value in counts) or "–"


def _word(outcome: str) -> str:
    """To be found at a glance where it is decided."""
    return "undecided" if outcome == Outcome.INCONCLUSIVE.value else f"**{outcome}**"


def title(claim: Mapping[str, Any]) -> str:
    """What a claim says, in words, where its analysis has any."""
    known = CLAIMS[claim["claim"]].get("TITLES", {}) if claim["claim"] in CLAIMS.members() else {}
    return known.get(claim["part"]) or claim["name"]
