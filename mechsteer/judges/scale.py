"""Scales: what a judge is asked about a text, and between which numbers it may answer. Each is a TOML file of prompts."""

import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..errors import InputError, shown
from ..store.keys import digest
from ..toml import Toml
from .scales import FOLDER, SCALES

CONCEPT, COHERENCE, OTHER = "concept", "coherence", "other"
"""The roles of aspects: the concept that is steered to, whether the text holds together, and what else a good text needs."""
DIGITS = (0, 9)
"""A scale for models whose tokens are single digits."""
FIELDS = {"concept", "query", "text"}
"""What a prompt may hold in braces."""
KINDS = {"name": str, "role": str, "prompt": str, "low": int, "high": int}


@dataclass(frozen=True)
class Aspect:
    """One thing that is judged, from `low` to `high`."""

    name: str
    role: str = ""
    """Of those that count in the harmonic mean; "" of what is only told."""
    low: float = 0.0
    high: float = 1.0
    prompt: str = ""
    """What is asked, of a judge that is asked in words."""
    words: tuple[str, ...] = ()
    """Answers in words, from worst to best, instead of numbers."""

    def share(self, score: Float[ndarray, " k"]) -> Float[ndarray, " k"]:
        """Scores between zero and one; as they are where the scale has no end."""
        return (score - self.low) / (self.high - self.low) if np.isfinite(self.high) else score

    @property
    def answers(self) -> dict[str, float]:
        """Every answer that is a whole number, or the words in lower case, with its score."""
        if self.words:
            return {word.lower(): float(index) for index, word in enumerate(self.words)}
        return {str(value): float(value) for value in range(int(self.low), int(self.high) + 1)}

    @property
    def allowed(self) -> str:
        """What may be answered, in words."""
        return " or ".join(self.words) if self.words else f"a whole number from {self.low:g} to {self.high:g}"

    def asks(self, concept: str, query: str, text: str) -> str:
        """The prompt about one text, which stands between tags that it cannot close."""
        query, text = (TAG.sub("&lt;", part) for part in (query, text))
        return self.prompt.format(concept=concept, query=query, text=text)


TAG = re.compile(r"<(?=/?(?:text|query)\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Scale:
    """The aspects that are judged together."""

    name: str
    title: str
    version: int
    aspects: tuple[Aspect, ...]

    @property
    def content(self) -> str:
        """Sixteen digits that differ where prompts do, whatever their version says."""
        return digest([[item.name, item.role, item.low, item.high, item.prompt, item.words] for item in self.aspects])[
            :16
        ]

    @property
    def needs_concept(self) -> bool:
        """Whether a prompt names the concept."""
        return any("{concept}" in aspect.prompt for aspect in self.aspects)


def read_scale(name: str) -> Scale:
    """One of ours by its name, or a file of the same form."""
    path = FOLDER / f"{name}.toml" if name in SCALES else Path(name)
    if name not in SCALES and path.suffix != ".toml":
        raise InputError(f"The scale {shown(name)!r} is unknown. Choose {', '.join(SCALES)}, or name a .toml file.")
    file = Toml.read(path)
    rows: Any = file.content.get("aspect")
    are_rows = isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)
    if not are_rows or not isinstance(version := file.content.get("version"), int):
        raise file.mistake((), "A scale has a version, a whole number, and an [[aspect]] at least. Begin as ours do.")
    aspects = tuple(_aspect(file, index, row) for index, row in enumerate(rows))
    if len({aspect.name for aspect in aspects}) < len(aspects):
        raise file.mistake((), "Two aspects have one name. Rename one.")
    if (n := sum(aspect.role == CONCEPT for aspect in aspects)) != 1:
        raise file.mistake((), f"{n} aspects have the role {CONCEPT!r}. Give it to one.")
    return Scale(path.stem, str(file.content.get("title", path.stem)), version, aspects)


def _aspect(file: Toml, index: int, row: Any) -> Aspect:
    where = ("aspect", index)
    kinds = KINDS if "words" not in row else {name: kind for name, kind in KINDS.items() if kind is not int}
    words = row.get("words", [])
    if not isinstance(words, list) or not all(isinstance(word, str) and word == word.strip() != "" for word in words):
        raise file.mistake(
            where, "An aspect's 'words' are no list of words. Write them from worst to best, as in yes_no."
        )
    if len({word.lower() for word in words}) < len(words):
        raise file.mistake(where, "Two of an aspect's 'words' are the same but for capitals. Write each once.")
    for name, kind in kinds.items():
        if not isinstance(row.get(name), kind):
            raise file.mistake(where, f"An aspect's {name!r} is missing, or is no {kind.__name__}. Write one.")
    if row["role"] not in (CONCEPT, COHERENCE, OTHER):
        raise file.mistake(where, f"The role {shown(row['role'])!r} is none of {CONCEPT}, {COHERENCE} and {OTHER}.")
    low, high = (0, len(words) - 1) if "words" in row else (row["low"], row["high"])
    if not low < high:
        raise file.mistake(where, f"The scale goes from {low} to {high}. It must rise.")
    aspect = Aspect(row["name"], row["role"], float(low), float(high), row["prompt"], tuple(words))
    try:
        if other := {field for _, field, _, _ in Formatter().parse(aspect.prompt) if field is not None} - FIELDS:
            raise ValueError(", ".join(sorted(other)))
        aspect.asks("", "", "")
    except (LookupError, ValueError) as error:
        fields = ", ".join(f"{{{field}}}" for field in sorted(FIELDS))
        raise file.mistake(where, f"The prompt holds other fields than {fields} ({error}).") from error
    return aspect
