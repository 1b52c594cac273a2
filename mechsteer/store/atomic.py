"""Files that are whole or not there: written beside their place, then moved into it."""

import os
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file in the same folder, then move it to `path`; on any failure leave nothing."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Nothing can be written to {str(path.parent)!r} ({error.strerror}). Name another.") from error
    # The suffix stays: pandas, matplotlib and others choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
