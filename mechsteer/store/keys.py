"""What a result is of: one typed key. Its fields stand as columns in every table; names are rendered from it, never parsed."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from numpy import ndarray

from ..brief import brief


@dataclass(frozen=True)
class Key:
    """What a steer, a sweep, a claim or a row of a table is of.

    Fields that a result does not speak of are left at their defaults: a claim about a method over all its seeds has no
    seed, one about the model's activations no method. Names of model and pairs are labels, for reading: two keys are equal
    where their contents are. Device, threads and versions of libraries are recorded beside a study, and are no part of it.
    """

    method: str = ""
    form: str = ""
    rule: str = ""
    """How m·Δh is applied, such as "add"."""
    sites: str = ""
    """Such as "3:resid_mid"; several are joined by commas, in the order of a forward."""
    seed: int | None = None
    settings: str = ""
    """Hash of how and from which pairs the steer was learned."""
    positions: str = ""
    prompt_format: str = ""
    template_options: str = ""
    pairs: str = field(default="", compare=False)
    pairs_content: str = ""
    model: str = field(default="", compare=False)
    weights: str = ""
    tokenizer: str = ""
    """Hash of the vocabulary, the special tokens and the chat template."""
    dtype: str = ""
    quantisation: str = ""

    __repr__ = brief

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Key":
        """The key whose columns a row of a table holds; columns that are absent say nothing."""
        found = {name: _plain(row[name]) for name in COLUMNS if name in row}
        return cls(**{name: value for name, value in found.items() if name == "seed" or value is not None})

    def columns(self) -> dict[str, Any]:
        """The fields by name, as they stand in a table or in JSON."""
        return {name: getattr(self, name) for name in COLUMNS}

    def only(self, *names: str) -> "Key":
        """What it says of these fields alone."""
        return Key(**{name: getattr(self, name) for name in names})

    def without(self, *names: str) -> "Key":
        """The same, saying nothing of these fields."""
        blank = Key()
        return replace(self, **{name: getattr(blank, name) for name in names})

    @property
    def id(self) -> str:
        """Sixteen digits that differ where keys do."""
        said = {item.name: getattr(self, item.name) for item in fields(self) if item.compare}
        return hashlib.sha256(canonical(said).encode()).hexdigest()[:16]

    @property
    def steer(self) -> str:
        """For reading: "SPLIT lora 3:resid_mid seed 0"; the rule is named where it is another than adding."""
        seed = "" if self.seed is None else f"seed {self.seed}"
        rule = "" if self.rule in ("", "add") else f"by {self.rule}"
        return " ".join(part for part in (self.method, self.form, self.sites, rule, seed) if part)

    @property
    def slug(self) -> str:
        """The steer's name in files, within a study: "split-lora-seed0"."""
        seed = "" if self.seed is None else f"seed{self.seed}"
        words = "-".join(part for part in (self.method, self.form, seed) if part).lower()
        return re.sub(r"[^a-z0-9_.-]+", "-", words)

    def __str__(self) -> str:
        return f"{self.steer or self.sites} on {self.pairs}" if self.pairs else self.steer


COLUMNS = tuple(item.name for item in fields(Key))


def labelled(frame: pd.DataFrame, key: Key) -> pd.DataFrame:
    """The table with the key's fields as its first columns."""
    kept = frame.drop(columns=[name for name in COLUMNS if name in frame])
    columns = {
        name: pd.Series([value] * len(kept), kept.index, _DTYPES.get(name)) for name, value in key.columns().items()
    }
    return pd.concat([pd.DataFrame(columns, index=kept.index), kept], axis=1)


def rows_of(frame: pd.DataFrame, key: Key) -> pd.DataFrame:
    """The rows whose columns say what the key says; fields that it leaves open may be anything."""
    chosen = np.ones(len(frame), dtype=bool)
    blank = Key()
    for item in fields(Key):
        value = getattr(key, item.name)
        if item.compare and value != getattr(blank, item.name) and item.name in frame:
            chosen &= (frame[item.name] == value).fillna(False).to_numpy(bool)
    return frame.loc[chosen]


def keys_in(frame: pd.DataFrame) -> list[Key]:
    """The keys that a table is of, each once, in the order in which they come."""
    return _numbered(frame)[0]


def split_by_key(frame: pd.DataFrame) -> dict[Key, pd.DataFrame]:
    """The rows of each key that a table is of. Unlike `rows_of`, a field that a key leaves open is open in its rows too."""
    keys, number = _numbered(frame)
    return {key: frame.loc[number == index] for index, key in enumerate(keys)}


def ids_of(frame: pd.DataFrame) -> list[str]:
    """The `id` of each row's key."""
    keys, number = _numbered(frame)
    ids = [key.id for key in keys]
    return [ids[index] for index in number]


def _numbered(frame: pd.DataFrame) -> tuple[list[Key], Int[ndarray, " rows"]]:
    """The keys of a table in the order in which they come, and which of them each row is of; no row is looked at alone."""
    names = [name for name in COLUMNS if name in frame]
    codes = np.zeros((len(frame), 1 + len(names)), dtype=np.int64)
    for column, name in enumerate(names, 1):
        codes[:, column] = pd.factorize(frame[name], use_na_sentinel=False)[0]
    _, first, number = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    rows = frame[names].iloc[first].to_dict("records")
    # Keys of equal contents under two names are one.
    found = [Key.of(row) for row in rows]
    keys = list(dict.fromkeys(found[index] for index in np.argsort(first)))
    place = {key: index for index, key in enumerate(keys)}
    return keys, np.array([place[key] for key in found], dtype=np.int64)[number.ravel()]


def canonical(value: Any) -> str:
    """JSON with one form for every value: sorted keys, no spaces; floats as Python writes them, so that they come back."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """The SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


_DTYPES = {"seed": "Int64"} | {name: "str" for name in COLUMNS if name != "seed"}


def _plain(value: Any) -> Any:
    """A cell as Python has it; what is missing is None."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return int(value) if isinstance(value, (int, np.integer, float)) else str(value)
