"""The one error that is the caller's to mend."""

import reprlib


class InputError(ValueError):
    """Something given to mechsteer cannot be used; the text says what came and what to do next.

    The command line prints the text alone. Every other exception is a defect and keeps its traceback.
    """


def shown(value: object, most: int = 80) -> str:
    """Foreign words as a message may hold them: on one line, short, and without what a terminal would obey."""
    short = reprlib.Repr()
    short.maxstring = most
    return short.repr(str(value))[1:-1]
