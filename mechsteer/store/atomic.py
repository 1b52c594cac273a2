"""Files that are whole or not there: written beside their place, brought to the disk, then moved into it."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import InputError, writing
from .schema import not_finite


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file in the same folder, then move it to `path`; on any failure leave nothing."""
    path = Path(path)
    # The suffix stays: pandas, matplotlib and others choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(temporary)
            to_disk(temporary)
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


@contextmanager
def interrupted_afterwards() -> Iterator[None]:
    """Ctrl-C waits for the end of the block: what is nearly done is not lost, and half of it does not print an error."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple] = []
    signal.signal(signal.SIGINT, lambda *given: came.append(given))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        before(*came[0])


def remove_left_behind(folder: Path) -> None:
    """Remove temporary files of writers that were killed; nobody may be writing into the folder meanwhile."""
    for path in folder.glob(".*.partial*"):
        if path.is_file():
            path.unlink()


def write_json(value: Any, path: Path) -> Path:
    """Write indented JSON, whole or not at all; NaN and infinity are refused, since JSON has none."""
    if strange := not_finite(value):
        raise InputError(
            f"{strange}, so {path.name} cannot be written. Look where that number arose, or measure less far."
        )
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return write_atomically(path, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))


def to_disk(path: Path) -> None:
    """Wait until the disk holds what was written there; a folder's entries too."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
