"""The one error that is the caller's to mend."""

import reprlib

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
    where = next((str(name) for name in (path, error.filename, error.filename2) if name is not None), "a file")
    return InputError(
        f"{where!r} cannot be used ({error.strerror or error}). Mend that, or name another place; what is finished is kept."
    )
