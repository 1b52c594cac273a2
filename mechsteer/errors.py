"""The one error that is the caller's to mend."""

import reprlib
from collections.abc import Iterator
from contextlib import contextmanager

from .text import shortened, visible


class InputError(ValueError):
    """Something given to mechsteer cannot be used; the text says what came and what to do next.

    The command line prints the text alone. Every other exception is a defect and keeps its traceback. Whatever data are quoted
    in it, the text is one line of bounded length without control codes.
    """

    def __init__(self, sentence: str):
        super().__init__(shortened(visible(" ".join(sentence.splitlines()))))


def shown(value: object, most: int = 80) -> str:
    """Foreign words as a message may hold them: on one line, short, and without what a terminal would obey."""
    short = reprlib.Repr()
    short.maxstring = most
    return short.repr(str(value))[1:-1]


def refused(error: OSError, path: object = None) -> InputError:
    """The sentence on what the system would not do: a disk that is full or read-only, a name that is too long."""
    named = next((repr(str(name)) for name in (path, error.filename, error.filename2) if name is not None), "A file")
    why = error.strerror or error
    return InputError(f"{named} cannot be used ({why}). Mend that, or name another place; what is finished is kept.")


@contextmanager
def writing(path: object) -> Iterator[None]:
    """Inside the block something is written at a place; what the system will not do there is one sentence."""
    try:
        yield
    except OSError as error:
        raise refused(error, path) from error
