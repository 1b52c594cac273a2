"""TOML files, and the line on which each of their keys stands."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError
from .store.reading import read_bytes

Where = tuple[str | int, ...]
"""Keys and places in lists, from the top: ("grid", "seeds"), ("override", 1, "set")."""


@dataclass(frozen=True)
class Toml:
    """What a file says, and its text, by which a mistake is told with its line."""

    path: Path
    text: str
    content: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Toml":
        """The file, or one sentence on what is no TOML in it, or that it holds nothing."""
        try:
            text = read_bytes(path).decode()
            if not (content := tomllib.loads(text)):
                raise InputError(f"{str(path)!r} holds no settings. Write at least one.")
            return cls(path, text, content)
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{str(path)!r} is no TOML: {error}. Mend that line.") from error

    def line(self, where: Where) -> int:
        """The line on which what stands there begins: the first lines of the file that hold it end with its own."""
        lines, before = self.text.split("\n"), 0
        for end in range(1, len(lines) + 1):
            try:
                found = tomllib.loads("\n".join(lines[:end]))
            except tomllib.TOMLDecodeError:
                continue  # within a value of several lines
            if _holds(found, where):
                break
            before = end
        return before + 1

    def mistake(self, where: Where, sentence: object) -> InputError:
        """The sentence, with the file and the line that it is about."""
        return InputError(f"{str(self.path)!r}, line {self.line(where)}: {sentence}")


def _holds(found: Any, where: Where) -> bool:
    for key in where:
        try:
            found = found[key]
        except (LookupError, TypeError):
            return False
    return True
