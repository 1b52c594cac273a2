"""A steer's file with what is said of it: "FILE#site=15:resid_post#scale=2", for what many formats leave open."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..families import FORMATS
from ..paths import resolved
from ..registry import Member
from .beside import Beside, read_beside

GENERAL = {
    "format": "which of the formats it is",
    "scale": "a factor of the shift, -1 turns it around",
    "norm": "how long each vector is made",
    "positions": "the tokens that it is for: every, all, completion or query",
}
"""What may be said of a file of any format."""


@dataclass(frozen=True)
class SteerFile:
    """A file or folder, and what its user says of it."""

    path: Path
    said: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, source: "str | os.PathLike[str]", said: Mapping[str, Any] | None = None) -> "SteerFile":
        """Read "FILE#NAME=VALUE#..."; a file that is called so is meant as it is."""
        path, *items = [str(source)] if os.path.lexists(source) else str(source).split("#")
        found = {}
        for item in items:
            name, is_pair, value = item.partition("=")
            if not (name and is_pair):
                raise InputError(
                    f"{item!r} says nothing of {path!r}. Write {path}#NAME=VALUE, such as #site=15:resid_post."
                )
            found[name.strip()] = value.strip()
        return cls(Path(resolved(path)), found | {name: str(value) for name, value in (said or {}).items()})

    @property
    def name(self) -> str:
        """What it is called, without folder and suffix."""
        return self.path.stem if self.path.suffix else self.path.name

    def beside(self) -> Beside | None:
        """What lies beside the file, written when it was."""
        return read_beside(self.path)

    def format(self, beside: Beside | None) -> str:
        """The name of its format: as it is said, as what lies beside it says, or the one that recognises it."""
        if (asked := self.said.get("format") or (beside and beside.format)) is not None:
            if meant := _meant(asked):
                raise InputError(f"The format {asked!r} is unknown{meant}. Read one of {', '.join(read_formats())}.")
            if FORMATS[asked].get("ASKS") is None:
                raise InputError(f"The format {asked!r} is only written. Read one of {', '.join(read_formats())}.")
            return asked
        if (name := _recognised(self.path)) is not None:
            return name
        if self.path.is_dir():
            folders = sorted(path for path in self.path.iterdir() if path.is_dir())
            inside = [repr(path.name) for path in folders if _recognised(path)]
            then = f"Pass the subfolder {' or '.join(inside)}" if inside else "Pass the steer's file or folder"
            raise InputError(f"{str(self.path)!r} is a folder of no format that is known. {then}.")
        if self.path.suffix in PICKLES:
            raise Unsaid(
                f"{str(self.path)!r} does not say what its numbers are. Name the format, such as "
                f"{self.path.name}#format=easyedit#layer=15; formats: {', '.join(_of_pickles())}."
            )
        # Our own says what is wrong with a file that none recognises.
        return "mechsteer"

    def answers(self, format: str, beside: Beside | None) -> dict[str, str]:
        """What the format asks, answered; one sentence if something is missing, or was not asked."""
        member = FORMATS[format]
        asks, may = member.get("ASKS", {}), member.get("MAY", {})
        for name in self.said:
            if name not in (known := {**asks, **may, **GENERAL}):
                raise InputError(
                    f"{name!r} cannot be said of a file of the format {format}. Choose {', '.join(known)}; what else it is, the "
                    "file says itself."
                )
        answers = {**(beside.said if beside else {}), **self.said}
        for name, words in asks.items():
            if name not in answers:
                raise Unsaid(
                    f"{str(self.path)!r} is of the format {format}, which does not say {name}: {words}. Write "
                    f"{self.path.name}#{name}=..., as the one who made it used it."
                )
        return {name: answers[name] for name in {**asks, **may} if name in answers}


class Unsaid(InputError):
    """Something that a format does not say has to be said by the user."""


PICKLES = (".pt", ".pth", ".bin")
"""What torch.save writes, which says nothing of what it means."""


def _recognised(path: Path) -> str | None:
    return next((name for name in read_formats() if FORMATS.load(name).recognises(path)), None)


def read_formats() -> list[str]:
    """The names of the formats that can be read."""
    return [name for name, member in FORMATS.members().items() if member.get("ASKS") is not None]


def written_formats() -> list[str]:
    """The names of the formats that can be written."""
    return [name for name, member in FORMATS.members().items() if member.get("SAYS") is not None]


def sayings(member: Member) -> Sequence[Mapping[str, Any]]:
    """What a format can say of steers: in one table, or in one for each of several forms."""
    says = member.get("SAYS") or {}
    return says if isinstance(says, tuple) else (says,)


def says_of(member: Member, form: str) -> Mapping[str, Any]:
    """What it can say of steers of that form; of a form that it does not know, what it can say of others."""
    tables = sayings(member)
    return next((says for says in tables if form in (says.get("forms") or (form,))), tables[0])


def format_to_write(name: str) -> Member:
    """The format of that name; one sentence that lists those there are if it cannot be written."""
    if name not in (known := written_formats()):
        what = "is only read" if name in FORMATS.members() else f"is unknown{_meant(name)}"
        raise InputError(f"The format {name!r} {what}. Write one of {', '.join(known)}.")
    return FORMATS[name]


def _meant(word: str) -> str:
    """The format that a program's name stands for where it is none of a format, as the end of a clause; "" where none does."""
    members = {} if word in FORMATS.members() else FORMATS.members()
    return next((f": {name} is {one.title}" for name, one in members.items() if word in one.title.split()), "")


def _of_pickles() -> list[str]:
    return [name for name in read_formats() if set(PICKLES) & set(FORMATS[name].get("SUFFIXES", ()))]


def number(said: Mapping[str, str], name: str, default: float = 1.0) -> float:
    """A number that was said."""
    try:
        value = float(said.get(name, default))
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise InputError(f"The {name} {said[name]!r} is no number. Write for example #{name}=2.")
    return value


def index(text: str, name: str, n: int) -> int:
    """A place in a list of n, counted from 0."""
    # Python takes no number of thousands of digits.
    if not text.isdecimal() or len(text) > 9 or int(text) >= n:
        raise InputError(
            f"The {name} {text!r} is none of the file's, which are 0 to {n - 1}. Write for example #{name}=0."
        )
    return int(text)
