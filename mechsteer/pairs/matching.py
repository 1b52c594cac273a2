"""Texts of one side each, as AxBench has them, matched into pairs: those that answer one input first, then by length in a genre.

A table says of every text whether it is for its concept or against it. Where a text of either side answers the same input they
are a pair as any other. The rest is matched within its genre, the shortest with the shortest, and each completion keeps the input
that it answers, so that what is learned from either side is learned from its own texts.
"""

import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InputError, shown
from .tables import Row

ALIASES = {
    "query": ("query", "question", "input", "prompt"),
    "completion": ("completion", "output", "response", "text"),
    "side": ("side", "category", "label"),
    "concept": ("concept_id", "concept"),
    "concept_name": ("output_concept",),
    "genre": ("genre", "concept_genre"),
}
"""Our name of a column of such a table, and the names that it has elsewhere."""
SIDES = {"positive": True, "negative": False}


def find_columns(rows: Sequence[Row], chosen: Mapping[str, str]) -> dict[str, str] | None:
    """The table's name of each of our columns; None where its rows are not texts of one side each."""
    present = {column for row in rows for column in row}
    found = {role: next((name for name in names if name in present), "") for role, names in ALIASES.items()}
    found |= {role: name for role, name in chosen.items() if role in ALIASES}
    if not (found["completion"] and found["side"]) or not all(row.get(found["side"]) in SIDES for row in rows):
        return None
    return {role: name for role, name in found.items() if name}


def matched(rows: Sequence[Row], columns: Mapping[str, str], concept: str, what: str, seed: int = 0) -> list[Row]:
    """Rows of pairs for one concept of a table; where texts of a genre are more on one side, as many are drawn of them.

    Texts against no concept in particular, whose own is none of those that texts are for, are against any of their genre.
    """

    def said(row: Row, role: str) -> str:
        return str(row.get(columns.get(role, ""), ""))

    positive = [row for row in rows if SIDES[row[columns["side"]]]]
    known = {said(row, "concept"): said(row, "concept_name") for row in positive}
    if len(known) == 1 and not concept:
        (concept,) = known
    if concept not in known:
        has = f"no texts for the concept {shown(concept)!r}" if concept else f"texts for {len(known)} concepts"
        raise InputError(f"{what} has {has}. {_listed(known)}")
    positive = [row for row in positive if said(row, "concept") == concept]
    genres = {said(row, "genre") for row in positive}
    negative = [
        row for row in rows
        if not SIDES[row[columns["side"]]] and said(row, "genre") in genres
        and said(row, "concept") not in known.keys() - {concept}
    ]  # fmt: skip
    answering = {(said(row, "genre"), said(row, "query")): row for row in negative}
    asked = [(said(row, "genre"), said(row, "query")) for row in positive]
    pairs = [(row, answering.pop(at)) for row, at in zip(positive, asked, strict=True) if at in answering]
    used, draw = {id(row) for both in pairs for row in both}, random.Random(seed)
    for genre in sorted(genres):
        sides = [
            [row for row in side if said(row, "genre") == genre and id(row) not in used]
            for side in (positive, negative)
        ]
        n = min(map(len, sides))
        drawn = (sorted(draw.sample(side, n), key=lambda row: len(said(row, "completion"))) for side in sides)
        pairs += zip(*drawn, strict=True)
    if left := len(positive) + len(negative) - 2 * len(pairs):
        warnings.warn(f"{what}: {left} texts have no match on the other side and are left out.", stacklevel=3)
    return [_pair(*both, columns) for both in pairs]


def _pair(positive: Row, negative: Row, columns: Mapping[str, str]) -> Row:
    query, completion = columns.get("query", ""), columns["completion"]
    row: dict[str, Any] = {"positive": positive.get(completion), "negative": negative.get(completion)}
    if query:
        row |= {"query": positive.get(query), "negative_query": negative.get(query)}
    return row


def _listed(known: Mapping[str, str]) -> str:
    named = (f"{shown(concept)}" + f" ({shown(name, 40)})" * bool(name) for concept, name in list(known.items())[:12])
    more = ", ..." if len(known) > 12 else ""
    return f"Name one as FILE#CONCEPT, of {', '.join(named)}{more}."
