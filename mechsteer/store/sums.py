"""Checksums: a folder lists in SHA256SUMS what its files were when they were written.

What is read back is verified first, so a bit that has flipped within a number is noticed like a file that is cut off.
`sha256sum --check SHA256SUMS` reads the list, too.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import InputError
from .atomic import write_atomically

LIST = "SHA256SUMS"
DIGITS = 64
_LINE = re.compile(f"[0-9a-f]{{{DIGITS}}}  [^\\x00-\\x1f]+")


@dataclass(frozen=True)
class Sums:
    """A folder's files and the checksum of each; None for a folder that has no list, whose files are taken as they are."""

    folder: Path
    known: Mapping[str, str] | None

    @classmethod
    def of(cls, folder: str | Path) -> "Sums":
        """What the folder's list says."""
        path = Path(folder) / LIST
        if not os.path.lexists(path):
            return cls(Path(folder), None)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise InputError(f"{str(path)!r} cannot be read ({error}). {_MEND}") from error
        known = {line[DIGITS + 2 :]: line[:DIGITS] for line in lines}
        if not known or not all(_LINE.fullmatch(line) for line in lines):
            raise InputError(f"{str(path)!r} is damaged: it is no list of checksums. {_MEND}")
        return cls(Path(folder), known)

    def has(self, name: str) -> bool:
        """Whether there is, or should be, such a file."""
        return name in (self.known or ()) or os.path.lexists(self.folder / name)

    def names(self, pattern: str) -> list[str]:
        """The files whose path in the folder is like that, those among them that should be there."""
        found = {path.relative_to(self.folder).as_posix() for path in self.folder.glob(pattern)}
        depth = len(PurePosixPath(pattern).parts)
        listed = (name for name in self.known or () if PurePosixPath(name).match(pattern))
        found |= {name for name in listed if len(PurePosixPath(name).parts) == depth}
        return sorted(name for name in found if not any(part.startswith(".") for part in PurePosixPath(name).parts))

    def path(self, name: str) -> Path:
        """Where a file lies, which is as it was written; else one sentence."""
        path = self.folder / name
        if self.known is None:
            return path
        if name not in self.known:
            raise InputError(f"{str(path)!r} is not in the folder's {LIST}, so nobody knows what it is. Move it away.")
        if _sum(path) != self.known[name]:
            raise InputError(f"{str(path)!r} is damaged: its content is not what the folder's {LIST} says. {_MEND}")
        return path

    def paths(self, pattern: str) -> list[Path]:
        """The files whose path is like that: the folder's own as they were written, and what somebody has put beside them."""
        return [self.path(name) if name in (self.known or ()) else self.folder / name for name in self.names(pattern)]

    def check(self) -> None:
        """Raise one sentence unless every file is as it was written."""
        for name in self.known or ():
            self.path(name)


_MEND = "Take a whole copy, or repeat the command that made the folder."


def check_listed(path: Path) -> None:
    """Raise one sentence if a list in the file's folder, or in the one above, knows it as something else."""
    for folder in (path.parent, path.parent.parent):
        sums, name = Sums.of(folder), path.relative_to(folder).as_posix()
        if name in (sums.known or ()):
            sums.path(name)


def write_sums(folder: Path, written: Iterable[Path] | None = None) -> None:
    """List the folder's files as they are now; of a folder that has a list, only those that were `written` if they are given."""
    known = {}
    if written is not None:
        if (before := Sums.of(folder).known) is None:
            return
        known |= before
    paths = (path for path in folder.rglob("*") if path.is_file()) if written is None else written
    found = {path.resolve().relative_to(folder.resolve()).as_posix(): _sum(path) for path in paths}
    known |= {name: value for name, value in found.items() if name != LIST}
    text = "".join(f"{value}  {name}\n" for name, value in sorted(known.items()))
    write_atomically(folder / LIST, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_sealed(content: bytes, path: Path) -> Path:
    """A file that begins with the checksum of the rest, whole or not at all: what unfinished work keeps for itself."""
    sealed = hashlib.sha256(content).hexdigest().encode() + content
    return write_atomically(path, lambda temporary: temporary.write_bytes(sealed))


def read_sealed(path: Path) -> bytes | None:
    """What `write_sealed` wrote; None where there is nothing whole, so that the work is done again."""
    try:
        sealed = path.read_bytes()
    except OSError:
        return None
    content = sealed[DIGITS:]
    return content if sealed[:DIGITS] == hashlib.sha256(content).hexdigest().encode() else None


def _sum(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read ({error.strerror}), and {LIST} lists it. {_MEND}") from error
