"""Texts: what the model writes under a steer at every multiplier of its sweep. Texts of a guestbook are marked word by word."""

import json
from collections.abc import Mapping, Sequence
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
from mechsteer.judges.answers import Answers
from mechsteer.measuring.generation import end_tokens, generate_tokens

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
        pairs: the source of queries; `n_queries` are taken, evenly spread over the distinct ones.
        batch_size: texts written at once, each under its own multiplier.
        concept: the concept of the pairs, on a guestbook with its own model, whose checker then marks the texts.
    """
    asked = some_that_differ(pairs, n_queries)
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


def write_samples(
    model: ms.Model,
    intervention: ms.Intervention,
    queries: Mapping[str, str],
    multipliers: Sequence[float] | Float[ndarray, " m"],
    kept: Answers,
    *,
    n_samples: int,
    max_new_tokens: int,
    prompt_format: str = "raw",
    seed: int = 0,
    batch_size: int = 64,
) -> pd.DataFrame:
    """Queries, each continued several times at temperature 1 under every multiplier: a row for each text, which says whether the
    model ended it.

    A batch mixes multipliers and holds queries of similar length. Texts are saved batch by batch, so that an interrupted run
    resumes.

    Args:
        queries: by name.
        kept: answers saved earlier for exactly this steer, these queries and these settings.
    """
    tokenizer, ends = model.require_tokenizer(), end_tokens(model)
    in_order = sorted(queries, key=lambda name: len(queries[name]))
    rows = [(name, float(m), sample) for name in in_order for m in multipliers for sample in range(n_samples)]
    known, texts = kept.known(), []
    with kept.keeping() as keep:
        for begin in range(0, len(rows), batch_size):
            some = rows[begin : begin + batch_size]
            if (key := str(begin)) not in known:
                with ms.steer(model, intervention, torch.tensor([m for _, m, _ in some])):
                    written = generate_tokens(
                        model, [queries[name] for name, _, _ in some], prompt_format=prompt_format,
                        max_new_tokens=max_new_tokens, seed=seed + begin,
                    )  # fmt: skip
                said = tokenizer.batch_decode(written, skip_special_tokens=True)
                told = [[text, tokens[-1:] and tokens[-1] in ends] for text, tokens in zip(said, written, strict=True)]
                keep(key, known.setdefault(key, json.dumps(told)))
            texts += json.loads(known[key])
    return pd.DataFrame(
        {"multiplier": m, "pair": name, "query": queries[name], "sample": sample, "text": text, "ended": bool(ended)}
        for (name, m, sample), (text, ended) in zip(rows, texts, strict=True)
    )


def some_that_differ(pairs: ms.Pairs, n: int) -> list[ms.PolarityPair]:
    """Pairs with different queries, evenly spread."""
    different = list({pair.query: pair for pair in reversed(pairs)}.values())[::-1]
    chosen = np.linspace(0, len(different) - 1, min(n, len(different)))
    return [different[index] for index in np.round(chosen).astype(int)]


def _judged(language: Language, query: str, text: str) -> dict[str, bool | float | str]:
    """The exact checker's result for a text: its parts, the value of each concept, and a mark for each word."""
    check = language.check(query, text)
    marks = word_marks(query, text, language)
    return {part: getattr(check, part) for part in PARTS} | dict(check.values) | {"marks": marks}


def word_marks(query: str, text: str, language: Language = guestbook.PLAIN) -> str:
    """The checker's marks for each word: words are separated by spaces, marks of one word by commas; a dot means none.

    `sentiment+` carries a concept's positive side. `off_topic` is a noun other than the one asked about. `unfitting` and
    `disagreeing` words differ in kind or number from the noun they describe, which is the last one named before them.
    """
    asked = spoken_of = language.noun_asked(query).word
    marks: list[str] = []
    before = ""
    for word in text.split():
        spoken_of = word if word in NOUNS else spoken_of
        # A word's meaning may depend on the word before it.
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
