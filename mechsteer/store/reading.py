"""The door through which files are read back: each is of its format and of its shape, or one sentence says what it is not."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError
from .schema import Shape, misfit


def read_bytes(path: str | Path) -> bytes:
    """A file's content."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read ({error.strerror}). Name a file that is there.") from error


def read_json(path: str | Path, shape: Shape) -> Any:
    """A JSON document of that shape."""
    return json_of(read_bytes(path), shape, path)


def json_of(content: str | bytes, shape: Shape, where: str | Path) -> Any:
    """The same from a text that stands somewhere."""
    with parsing(where, "JSON"):
        found = json.loads(content, parse_constant=_no_number)
    if wrong := misfit(found, shape):
        raise damaged(where, wrong)
    return found


def damaged(path: str | Path, why: object) -> InputError:
    """The sentence on a file that is not what it should be."""
    return InputError(f"{str(path)!r} is damaged: {why}. Take a whole copy, or make it again.")


@contextmanager
def parsing(path: str | Path, what: str) -> Iterator[None]:
    """Inside the block bytes are taken for a file of some kind; if they are none, one sentence says so."""
    try:
        yield
    # A parser of bytes that nobody meant may raise anything.
    except Exception as error:
        raise damaged(path, f"it is no {what} that can be read ({error})") from error


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")
