"""Paths that begin with a variable of the environment: what is written down with one holds on any machine."""

import os

from .errors import InputError, shown


def resolved(name: str) -> str:
    """ "$NAME/rest" with the variable's value for "$NAME"; any other name, and a path that there is, as it is."""
    variable, slash, rest = name.partition("/")
    if not (slash and variable[:1] == "$" and variable[1:].isidentifier()) or os.path.lexists(name):
        return name
    if not (folder := os.environ.get(variable[1:])):
        raise InputError(
            f"{shown(name, 200)} begins with a variable that is not set. Say where it lies: {variable[1:]}=FOLDER before the "
            "command, or export it."
        )
    return os.path.join(folder, rest)
