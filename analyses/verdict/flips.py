"""What the model writes at -m, 0 and +m: of the queries that were continued, the one whose texts show most of a flip."""

from dataclasses import dataclass

import pandas as pd

from mechsteer.guestbook.words import EOS

from .facts import Facts
from .reach import Reach


@dataclass(frozen=True)
class Flip:
    """One query and its three texts, by multiplier."""

    query: str
    texts: dict[float, str]
    is_flip: bool
    """Whether the texts differ at both ends, and, where a checker reads them, take the concept's two sides."""


def flip_of(facts: Facts, reach: Reach) -> Flip | None:
    """At the multipliers nearest to the ends of the useful range that lie within it; None where nothing was written."""
    texts = facts.rows("texts")
    if texts.empty:
        return None
    low, high = reach.ends
    within = texts.loc[texts.multiplier.between(low, high), "multiplier"]
    at = [float(within.min()), 0.0, float(within.max())]
    concept = facts.study.summary.get("concept") or ""
    if not within.min() < 0 < within.max():
        return None
    rows = texts.loc[texts.multiplier.isin(at)]
    shown = [
        _of_query(query, some.set_index("multiplier"), at, concept) for query, some in rows.groupby("query", sort=False)
    ]
    return max(shown, key=lambda item: item[0])[1]


def _of_query(query: str, rows: pd.DataFrame, at: list[float], concept: str) -> tuple[tuple[float, ...], Flip]:
    """The texts, and by what they are chosen: that they are valid, how far they lie apart, how many of them differ."""
    text = {m: str(rows.text[m]).removesuffix(EOS).strip() for m in at}
    apart, valid = float(text[at[0]] != text[at[2]]), 0.0
    if concept and concept in rows:
        sides = rows[concept].to_dict()
        apart, valid = sides[at[2]] - sides[at[0]], float(rows.valid.loc[at].sum())
    flips = text[at[0]] != text[at[2]] and apart > 0
    return (flips, valid, apart, len(set(text.values()))), Flip(query, text, flips)
