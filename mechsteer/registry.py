"""Families and their members: a member is a file that says of itself what others need to know, and is read without being run.

A member's file declares constants: `NAME`, what it is called on the command line and in tables; `ORDER`, its place among the
others; and what its family asks for besides (a title, a style, a scope, ...). Its docstring says what it is. A file outside the
tree joins by `extend` (`--extend FILE.py`) or by an entry point of the group "mechsteer"; it names its `FAMILY` too.
"""

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from .errors import InputError

LAST = 1000
"""The place of a member that does not name one."""

_extensions: dict[Path, None] = {}


class _AsItReads(SourceFileLoader):
    """Runs a foreign file as it reads now: what Python has kept compiled it knows by the file's size and second alone, and leaves
    beside it."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


@dataclass(frozen=True)
class Member:
    """One member of a family; `declared` holds the constants of its file."""

    name: str
    path: Path
    module_name: str
    declared: Mapping[str, Any]
    doc: str
    content: str
    """Sixteen digits of a foreign file's hash, which becomes part of the key of whatever it makes; "" for our own, whose
    changes are told by their `VERSION` or by those of units."""

    @property
    def title(self) -> str:
        """A line of words: its `TITLE`, or how its docstring begins."""
        return self.declared.get("TITLE") or self.doc.splitlines()[0].removesuffix(".")

    @property
    def code(self) -> str:
        """What the keys of whatever it makes hold of it: its content, or the `VERSION` of one of ours that declares one."""
        return self.content or str(self.get("VERSION", ""))

    def get(self, constant: str, default: Any = None) -> Any:
        """What it declares, by the constant's name."""
        return self.declared.get(constant, default)

    def module(self) -> ModuleType:
        """The file, run."""
        if self.module_name in sys.modules or not self.content:
            return importlib.import_module(self.module_name)
        loader = _AsItReads(self.module_name, str(self.path))
        spec = importlib.util.spec_from_file_location(self.module_name, self.path, loader=loader)
        assert spec is not None and spec.loader is not None
        sys.modules[self.module_name] = module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[self.module_name]
            raise
        return module


@dataclass(frozen=True)
class Family:
    """A room whose files are members; `base` names the class that each of them defines one of ("module:Class"), if any."""

    name: str
    folder: Path
    package: str
    base: str = ""

    def members(self) -> dict[str, Member]:
        """By name, in order; those from outside come where their `ORDER` says, else last."""
        found = [*self._own, *(member for path in _foreign() if (member := _read_foreign(path, self.name)))]
        ordered = sorted(found, key=lambda member: (member.get("ORDER", LAST), member.name))
        by_name = {member.name: member for member in ordered}
        if len(by_name) < len(ordered):
            names = [member.name for member in ordered]
            twice = max(names, key=names.count)
            paths = " and ".join(str(member.path) for member in ordered if member.name == twice)
            raise InputError(f"Two files are the {self.name} {twice!r}: {paths}. Rename one, or leave it out.")
        return by_name

    def __getitem__(self, name: str) -> Member:
        return self.members()[self.check(name)]

    def check(self, name: str) -> str:
        """The name, if a member has it; else one sentence that lists those there are."""
        if name not in (known := self.members()):
            raise InputError(f"The {self.name} {name!r} is unknown. Choose {', '.join(known)}.")
        return name

    def load(self, name: str) -> Any:
        """What the member is: its class where the family has a base, else its module."""
        member = self[name]
        module = member.module()
        if not self.base:
            return module
        where, _, kind = self.base.partition(":")
        base = getattr(importlib.import_module(where), kind)
        own = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
        ]
        if len(own) != 1:
            raise InputError(f"{str(member.path)!r} defines {len(own)} classes of {kind}, not one. Keep one in a file.")
        return own[0]

    @cached_property
    def _own(self) -> list[Member]:
        paths = sorted(path for path in self.folder.glob("*.py") if not path.name.startswith("_"))
        # Half of a room's files are no members, and help waits for those that are parsed.
        named = (path for path in paths if "\nNAME = " in path.read_text(encoding="utf-8"))
        read = (_read(path, f"{self.package}.{path.stem}", "") for path in named)
        return [member for member in read if member is not None]


def extend(path: str | Path) -> None:
    """Let a file's member join its family, for this process."""
    path = Path(path).resolve()
    if not path.is_file():
        raise InputError(
            f"There is no file at {str(path)!r} to extend by. Pass a .py file that declares FAMILY and NAME."
        )
    declared, _ = _constants(path)
    if not isinstance(declared.get("FAMILY"), str) or not isinstance(declared.get("NAME"), str):
        raise InputError(f"{str(path)!r} does not declare FAMILY and NAME. Begin it like a member in CONTRIBUTING.md.")
    _extensions[path] = None


def forget_extensions() -> None:
    """Leave only what the tree and entry points hold."""
    _extensions.clear()


def _foreign() -> list[Path]:
    return [*_entry_points(), *_extensions]


@cache
def _entry_points() -> tuple[Path, ...]:
    """The files of installed packages that name themselves members."""
    from importlib.metadata import entry_points  # a tenth of the time that help takes

    specs = (importlib.util.find_spec(point.module) for point in entry_points(group="mechsteer"))
    return tuple(Path(spec.origin) for spec in specs if spec is not None and spec.origin)


def _read_foreign(path: Path, family: str) -> Member | None:
    content = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    member = _read(path, f"mechsteer_extension_{path.stem}_{content}", content)
    return member if member is not None and member.get("FAMILY") == family else None


def _read(path: Path, module_name: str, content: str) -> Member | None:
    declared, doc = _constants(path)
    name = declared.get("NAME")
    return Member(name, path, module_name, declared, doc, content) if isinstance(name, str) else None


def _constants(path: Path) -> tuple[dict[str, Any], str]:
    """The file's constants that are literals, and its docstring."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{str(path)!r} is no Python that can be read ({error}).") from error
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name) and target.id.isupper():
            try:
                found[target.id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return found, ast.get_docstring(tree) or path.stem
