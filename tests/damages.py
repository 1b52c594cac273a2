"""Ways in which a file is damaged, by chance and by hand; shared by the tests and `benchmarks/fuzz.py`."""

import io
import json
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

STRANGE = [None, True, -1, 0, 10**400, 1e308, "", "\x1b[31m", "nan", [], {}, [[]], {"": {}}, "x" * 10_000]
"""In place of a value of JSON."""


def _flip(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 1, 8])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _cut(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def _zero(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    begin = rng.randrange(len(content))
    end = begin + rng.randint(1, 4096)
    content[begin:end] = bytes(len(content[begin:end]))
    path.write_bytes(content)


def _grow(path: Path, rng: random.Random) -> None:
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randint(1, 1000)))


def _empty(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"")


def _delete(path: Path, rng: random.Random) -> None:
    path.unlink()


def _folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _dangle(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _swap(path: Path, rng: random.Random) -> None:
    others = [other for other in sorted(path.parent.iterdir()) if other.is_file() and other != path]
    if others:
        shutil.copyfile(rng.choice(others), path)


def _edit(path: Path, rng: random.Random) -> None:
    """Another value, type, field, column or array, in a file that is whole of its kind."""
    edit = _EDITS.get(path.suffix, _flip)
    edit(path, rng)


def _edit_json(path: Path, rng: random.Random) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    holder: Any = found
    while True:
        places = list(holder) if isinstance(holder, dict) else range(len(holder))
        if not places:
            return
        place = rng.choice(places)
        if not isinstance(holder[place], (dict, list)) or not holder[place] or rng.random() < 0.2:
            break
        holder = holder[place]
    if rng.random() < 0.3:
        del holder[place]
    else:
        holder[place] = rng.choice([*STRANGE, float("nan"), float("inf")])
    path.write_text(json.dumps(found), encoding="utf-8")


def _edit_table(path: Path, rng: random.Random) -> None:
    table = pd.read_parquet(path)
    name = rng.choice(list(table.columns))
    how = rng.randrange(5)
    if how == 0:
        table = table.drop(columns=name)
    elif how == 1:
        table = table.rename(columns={name: f"{name}s"})
    elif how == 2:
        table[name] = table[name].astype(str) + "?"
    elif how == 3:
        table = table.iloc[: len(table) // 2]
    else:
        table[name] = rng.choice([np.nan, 1e308, -1, "="])
    table.to_parquet(path, index=False)


def _edit_arrays(path: Path, rng: random.Random) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    name = rng.choice(sorted(arrays))
    how = rng.randrange(3)
    if how == 0:
        del arrays[name]
    elif how == 1:
        arrays[name] = arrays[name].astype(str)
    else:
        arrays[name] = np.full(arrays[name].shape, np.nan)
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    path.write_bytes(content.getvalue())


def _edit_tensors(path: Path, rng: random.Random) -> None:
    """The data, or what the metadata say, under the old checksum."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
    how = rng.randrange(4)
    if how == 0:
        values = np.frombuffer(data, np.float32).copy()
        values[rng.randrange(len(values))] = rng.choice([np.nan, np.inf, 1e38, 0.5])
        data[:] = values.tobytes()
    elif how == 1:
        name = rng.choice([name for name in header if name != "__metadata__"])
        header[name][rng.choice(["dtype", "shape", "data_offsets"])] = rng.choice([*STRANGE[:-1], "F16", "I32", [1]])
    elif how == 2:
        metadata = header.setdefault("__metadata__", {"format": "pt"})
        metadata[rng.choice(sorted(metadata))] = rng.choice(
            ["", "{}", "[]", "null", "9", '{"method": NaN}', "\x1b[31m"]
        )
    else:
        del header[rng.choice(sorted(header))]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


_EDITS = {".json": _edit_json, ".parquet": _edit_table, ".npz": _edit_arrays, ".safetensors": _edit_tensors}
DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "flipped": _flip, "cut off": _cut, "zeroed": _zero, "grown": _grow, "empty": _empty, "deleted": _delete,
    "a folder": _folder, "a dangling link": _dangle, "swapped": _swap, "edited": _edit,
}  # fmt: skip
"""By what happened."""


def damage(path: Path, rng: random.Random) -> str:
    """Damage a file in one of these ways, and say in which; half of the time it is edited."""
    how = "edited" if rng.random() < 0.4 else rng.choice(sorted(DAMAGES))
    DAMAGES[how](path, rng)
    return how


@contextmanager
def one_damaged(folder: Path, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Inside the block one file of the folder is damaged: its name, and how. Every kind of file has the same chance."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    suffix = rng.choice(sorted({Path(name).suffix for name in names}))
    name = rng.choice([name for name in names if Path(name).suffix == suffix])
    path = folder / name
    whole = path.read_bytes()
    try:
        yield name, damage(path, rng)
    finally:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.write_bytes(whole)
