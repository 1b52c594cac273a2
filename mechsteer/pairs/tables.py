"""Tables: rows of named cells from the files and the objects that hold them, as they stand there, or one sentence."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import InputError, shown

Row = Mapping[str, Any]

TENSOR_FILES = {
    ".pt": "PyTorch tensors",
    ".pth": "PyTorch tensors",
    ".safetensors": "safetensors tensors",
    ".gguf": "a GGUF model or control vector",
    ".npy": "a NumPy array",
    ".npz": "NumPy arrays",
}
LARGEST_GROWTH, ALWAYS_ALLOWED = 100, 2**26
"""A parquet may unpack to so many times its size, or to 64 MiB: texts that are worth reading shrink less than that."""
ROW_SIZE = 200
"""Bytes that a row takes in Python beside its texts, roughly."""


def read_table(source: Any) -> list[Row]:
    """The rows of a file, a DataFrame, a Hugging Face dataset, or a list of mappings or tuples."""
    if isinstance(source, (str, os.PathLike)):
        return _read_file(Path(source))
    if isinstance(source, Mapping):
        names = ", ".join(shown(name) for name in islice(source, 12))
        raise InputError(f"A mapping came, of {names or 'nothing'}, not rows: pass one of them, or a list of its rows.")
    if hasattr(source, "iterrows"):  # a DataFrame of pandas
        if not source.columns.is_unique:
            raise InputError(f"The table has {_doubled(source.columns)} twice: give each of its columns a name.")
        source = source.astype(object).where(source.notna(), None).to_dict("records")
    if not isinstance(source, Iterable):
        raise InputError(f"{type(source).__name__} came, which holds no rows: pass a file, a table or a list of pairs.")
    rows = [_row(value, number) for number, value in enumerate(source)]
    if not rows:
        raise InputError("No rows came, so there are no pairs: pass at least one.")
    return rows


def _row(value: Any, number: int) -> Row:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (tuple, list)) and len(value) in (2, 3):
        names = ("query", "positive", "negative")
        return dict(zip(names[-len(value) :], value, strict=True))
    raise InputError(
        f"Row {number} (from 0) is of type {type(value).__name__}: pass mappings, or tuples of query, positive and negative."
    )


def _doubled(names: Iterable[Any]) -> str:
    """A name that occurs twice, or ""; what has no name counts once."""
    seen = set()
    for name in names:
        if name in seen:
            return shown(name)
        if name != "":
            seen.add(name)
    return ""


# Files


def _read_file(path: Path) -> list[Row]:
    _check_is_table(path)
    suffix, name = path.suffix.lower(), shown(path, 200)
    try:
        rows = READERS[suffix](path)
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text, as its byte {error.start} shows: save it as UTF-8.") from error
    except RecursionError as error:
        raise InputError(f"{name} is nested too deep to be a table: write one flat object for each pair.") from error
    except OSError as error:
        raise InputError(f"{name} cannot be read: {shown(error.strerror or error, 200)}.") from error
    except ValueError as error:
        raise InputError(f"{name} cannot be read as {suffix}: {shown(error, 300).rstrip('.')}.") from error
    if not rows:
        raise InputError(f"{name} is empty: write one row for each pair.")
    return rows


def _check_is_table(path: Path) -> None:
    """Refuses in a sentence what is no file of a known format, before anything of it is read."""
    formats, name = ", ".join(READERS), shown(path, 200)
    try:
        is_folder, is_file, exists = path.is_dir(), path.is_file(), path.exists()
    except (OSError, ValueError) as error:
        raise InputError(f"{name} is no name that a file can have: name a {formats} file.") from error
    if is_folder:
        tables = (file for file in path.rglob("*") if file.suffix.lower() in READERS)
        found = (shown(file.relative_to(path)) for file in sorted(islice(tables, 12)))
        raise InputError(
            f"{name} is a folder: name one file of pairs. In it there is {', '.join(found) or f'no {formats} file'}."
        )
    if not exists:
        raise InputError(f'There is no file {name}: name a {formats} file, or a set such as "guestbook/sentiment".')
    if not is_file:
        raise InputError(f"{name} is a pipe or a device, which is there only once: save the pairs in a {formats} file.")
    suffix = path.suffix.lower()
    if suffix not in READERS:
        content = TENSOR_FILES.get(suffix, f"a format ({shown(suffix) or 'no suffix'}) that is not read here")
        raise InputError(f"{name} holds {content}, not pairs of texts: name a {formats} file.")


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig")


def _parse(text: str) -> Any:
    """JSON whose objects say everything once; of two equal keys, other readers keep one in silence."""

    def once(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            raise ValueError(f"an object has the key {_doubled(key for key, _ in items)!r} twice")
        return found

    return json.loads(text, object_pairs_hook=once)


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
                values.append(_parse(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number} (from 1) is not JSON: {error.msg}, at column {error.colno}") from error
            except ValueError as error:
                raise ValueError(f"in line {number} (from 1) {error}") from error
    return _objects(values)


def _read_json(path: Path) -> list[Row]:
    """A list of objects, an object around one such list, a single object, or JSON lines under the wrong suffix."""
    text = _text(path)
    try:
        content = _parse(text) if text.strip() else []
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
    text = _text(path)
    # Not pandas: it takes completions such as "None" and "NA" for missing cells.
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    largest_cell = csv.field_size_limit(max(len(text), 1))
    try:
        header, *rows = [line for line in lines if line] or [[]]
    except csv.Error as error:
        raise ValueError(f"line {lines.line_num} (from 1) has misplaced quotes, {error}") from error
    finally:
        csv.field_size_limit(largest_cell)
    if twice := _doubled(header):
        raise ValueError(f"its header has the column {twice!r} twice")
    for number, row in enumerate(rows):
        if len(row) > len(header):
            raise ValueError(
                f"row {number} (from 0) has {len(row)} cells and the header {len(header)}; quote the texts"
            )
    return [dict(zip(header, row, strict=False)) for row in rows]


def _read_parquet(path: Path) -> list[Row]:
    """A few rows at a time, and no further than memory may go: a small file can unpack to anything."""
    import pyarrow
    import pyarrow.parquet

    packed = path.stat().st_size
    if not packed:
        return []
    largest = max(LARGEST_GROWTH * packed, ALWAYS_ALLOWED)
    rows: list[Row] = []
    try:
        # Opened here: pyarrow does not know how to open every name that a file can have.
        with path.open("rb") as opened:
            file = pyarrow.parquet.ParquetFile(opened, page_checksum_verification=True, pre_buffer=False)
            groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
            unpacked = sum(group.total_byte_size for group in groups)
            if twice := _doubled(file.schema_arrow.names):
                raise ValueError(f"it has the column {twice!r} twice")
            if unpacked <= largest:
                unpacked = 0
                for batch in file.iter_batches(batch_size=64, use_threads=False):
                    some = batch.to_pylist()
                    # Not the batch's own size: it holds a text that recurs once, and Python holds it every time.
                    unpacked += len(str(some)) + ROW_SIZE * len(some)
                    if unpacked > largest:
                        break
                    rows += some
    except pyarrow.ArrowException as error:
        raise ValueError(error) from error
    if unpacked > largest:
        raise ValueError(f"its {packed:,} bytes unpack to more than {largest:,}; write the rows of pairs as .jsonl")
    return rows


READERS: dict[str, Callable[[Path], list[Row]]] = {
    ".jsonl": _read_json_lines,
    ".json": _read_json,
    ".csv": lambda path: _read_separated(path, ","),
    ".tsv": lambda path: _read_separated(path, "\t"),
    ".parquet": _read_parquet,
}
