"""Texts: what the model writes under a steer at every multiplier of its sweep; a guestbook's are marked word by word."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy import ndarray

import mechsteer as ms
from mechsteer import guestbook
from mechsteer.guestbook import Language
from mechsteer.guestbook.words import NOUNS

PARTS = ("valid", "grammatical", "on_topic", "fitting", "agreeing", "ended")
NO_MARK = "."


def write_texts(
    model: ms.Model,
    intervention: ms.Intervention,
    pairs: ms.Pairs,
    multipliers: Sequence[float] | Float[ndarray, " m"],
    *,
    prompt_format: str = "raw",
    n_queries: int = 6,
    batch_size: int = 64,
    concept: str = "",
) -> pd.DataFrame:
    """A few queries, continued greedily under each multiplier: a row for each text.

    Args:
        pairs: whose queries; `n_queries` of them, evenly spread over those that differ.
        batch_size: texts that are written at once, each under its own multiplier.
        concept: on a guestbook whose own model this is, that of the pairs: its checker marks the texts.
    """
    asked = _some_that_differ(pairs, n_queries)
    language = guestbook.language_of(concept) if concept else None
    rows = [(float(multiplier), pair) for multiplier in multipliers for pair in asked]
    texts: list[str] = []
    for begin in range(0, len(rows), batch_size):
        some = rows[begin : begin + batch_size]
        with ms.steer(model, intervention, torch.tensor([multiplier for multiplier, _ in some])):
            queries = [pair.query for _, pair in some]
            texts += ms.generate(
                model, queries, prompt_format=prompt_format, temperature=0, keep_special_tokens=bool(concept)
            )
    return pd.DataFrame(
        {"multiplier": multiplier, "pair": pair.id, "query": pair.query, "text": text}
        | (_judged(language, pair.query, text) if language else {})
        for (multiplier, pair), text in zip(rows, texts, strict=True)
    )


def _some_that_differ(pairs: ms.Pairs, n: int) -> list[ms.PolarityPair]:
    different = list({pair.query: pair for pair in reversed(pairs)}.values())[::-1]
    chosen = np.linspace(0, len(different) - 1, min(n, len(different)))
    return [different[index] for index in np.round(chosen).astype(int)]


def _judged(language: Language, query: str, text: str) -> dict[str, bool | float | str]:
    """What the exact checker says of a text: its parts, the value of each concept, and a mark for each word."""
    check = language.check(query, text)
    marks = word_marks(query, text, language)
    return {part: getattr(check, part) for part in PARTS} | dict(check.values) | {"marks": marks}


def word_marks(query: str, text: str, language: Language = guestbook.PLAIN) -> str:
    """For each word, parted by spaces, what the checker sees in it, joined by commas; a dot for nothing.

    `sentiment+` bears a concept's positive side; `off_topic` is a noun other than the one asked about; `unfitting` and
    `disagreeing` are of another kind or number than the noun that the word speaks of, the last one named before it.
    """
    asked = spoken_of = language.noun_asked(query).word
    marks: list[str] = []
    before = ""
    for word in text.split():
        spoken_of = word if word in NOUNS else spoken_of
        # What a word means may hang on the one before it.
        found = _marks_of(language, query, spoken_of, f"{before} {word}" if marks[-1:] == [NO_MARK] else word)
        before = word
        if word in NOUNS and word != asked:
            found = (*found, "off_topic")
        marks.append(",".join(found) or NO_MARK)
    return " ".join(marks)


@cache
def _marks_of(language: Language, query: str, noun: str, word: str) -> tuple[str, ...]:
    check = language.check(query, f"{noun} {word}")
    sides = [f"{concept}{'+' if value > 0 else '-'}" for concept, value in check.values.items() if value]
    return (*sides, *["unfitting"] * (not check.fitting), *["disagreeing"] * (not check.agreeing))
