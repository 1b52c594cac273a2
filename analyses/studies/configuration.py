"""A study's settings from a TOML file: what may stand there is what `Settings` has, under the same names."""

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from mechsteer.errors import InputError, shown
from mechsteer.registry import extend
from mechsteer.toml import Toml, Where

from .settings import Settings

KINDS = {item.name: get_type_hints(Settings)[item.name] for item in fields(Settings) if not item.metadata.get("how")}
"""The type of every setting that says what is studied, by its name."""
HOW = {item.name for item in fields(Settings) if item.metadata.get("how")}
WORDS = {str: "text, in quotes", int: "a whole number", bool: "true or false"}


class Given(NamedTuple):
    """A setting's value, and where its file gives it."""

    value: Any
    where: Where


def read_settings(path: Path) -> dict[str, Any]:
    """What a file of one study says, by the names of `Settings`, each checked."""
    file = Toml.read(path)
    given = read_table(file, ())
    settings_of(file, given)
    return {name: value for name, (value, _) in given.items()}


def read_table(file: Toml, where: Where) -> dict[str, Given]:
    """The settings in one of the file's tables."""
    table: Any = file.content
    for key in where:
        table = table[key]
    if not isinstance(table, dict):
        raise file.mistake(where, f"{where[-1]!r} is no table. Put settings there, such as seeds = 3.")
    return {name: Given(value_of(file, (*where, name), name, said), (*where, name)) for name, said in table.items()}


def value_of(file: Toml, where: Where, name: str, said: Any) -> Any:
    """A value as the settings have it; a list may be written as on the command line, with commas."""
    check_name(file, where, name)
    kind = KINDS[name]
    if get_origin(kind) is tuple:
        if isinstance(said, str):
            return tuple(item.strip() for item in said.split(",") if item.strip())
        if isinstance(said, list) and all(isinstance(item, str) for item in said):
            return tuple(said)
        allowed = "a list of texts"
    else:
        known = [one for one in (get_args(kind) or (kind,)) if one is not type(None)]
        # True is an int, and no number of seeds.
        if type(said) in known:
            return said
        allowed = " or ".join(WORDS[one] for one in known)
    raise file.mistake(where, f"'{name}' is {shown(repr(said))}. It must be {allowed}.")


def check_name(file: Toml, where: Where, name: str) -> None:
    """One sentence if there is no such setting."""
    if name in HOW:
        raise file.mistake(
            where, f"{name!r} says how a study is run and nothing of what it finds. Pass --{name} instead."
        )
    if name not in KINDS:
        close = get_close_matches(name, KINDS, 1)
        meant = f" Did you mean {close[0]}?" if close else ""
        raise file.mistake(where, f"There is no setting {shown(name)!r}.{meant} Allowed are {', '.join(KINDS)}.")


def settings_of(file: Toml, given: Mapping[str, Given]) -> Settings:
    """The settings, or one sentence with the line of the one that is wrong; members from outside join first."""
    if "extend" in given:
        for path in given["extend"].value:
            extend(path)
    try:
        return Settings(**{name: value for name, (value, _) in given.items()})
    except InputError as error:
        # Alone, or together with another, or with all.
        for blamed in (*combinations(given.items(), 1), *combinations(given.items(), 2)):
            try:
                Settings(**{name: value for name, (value, _) in blamed})
            except InputError as own:
                if str(own) == str(error):
                    *others, (name, (_, where)) = blamed
                    raise file.mistake(where, error if others else f"'{name}': {error}") from error
        raise file.mistake(list(given.values())[-1].where, error) from error
