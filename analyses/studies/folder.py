"""A study's folder: filled beside its place, and moved there whole once the study is complete."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mechsteer.errors import InputError
from mechsteer.store.atomic import write_atomically

T = TypeVar("T")


@dataclass(frozen=True)
class StudyFolder:
    """Where a running study keeps what is finished; an interrupted run leaves it, and the same command goes on."""

    out: Path
    work: Path
    is_new: bool

    @classmethod
    def open(cls, out: Path, identity: dict[str, Any]) -> "StudyFolder":
        """Begin or go on; `identity` says what is studied, and a folder of another study is refused."""
        identity = json.loads(json.dumps(identity))
        if out.exists() and not (out / "study.json").is_file():
            if not out.is_dir() or any(out.iterdir()):
                raise InputError(f"{str(out)!r} exists and is no study. Choose another folder with --out.")
        elif out.exists() and (differing := _differing(_read(out / "study.json"), identity)):
            raise InputError(
                f"{str(out)!r} holds another study; it differs in {', '.join(differing)}. "
                "Choose another folder with --out, or delete that one."
            )
        work = out.with_name(f".{out.name}.partial")
        begun = work / "identity.json"
        if work.exists() and (not begun.is_file() or _differing(_read(begun), identity)):
            shutil.rmtree(work)
        is_new = not work.exists()
        if is_new:
            write_json(identity, begun)
        return cls(out, work, is_new)

    def abandon(self) -> None:
        """Leave nothing of a run that its inputs have stopped, unless an earlier one had kept something here."""
        if self.is_new:
            shutil.rmtree(self.work, ignore_errors=True)

    def keep(self, name: str, load: Callable[[Path], T], make: Callable[[], T], save: Callable[[T, Path], Any]) -> T:
        """What `make` gives, saved as `name`; loaded instead where an interrupted run has saved it already."""
        # Loaded in either case, so that a run which goes on sees the same numbers as one that never stopped.
        return load(self.once(name, lambda path: save(make(), path)))

    def once(self, name: str, write: Callable[[Path], Any]) -> Path:
        """The file `name`, written by `write` unless an interrupted run has written it already."""
        path = self.work / name
        if not path.exists():
            write_atomically(path, write)
        return path

    def forget(self, name: str) -> None:
        """Remove a folder of parts, now that what they were kept for is whole."""
        shutil.rmtree(self.work / name, ignore_errors=True)

    def finish(self) -> None:
        """Move the folder to its place, in exchange for an earlier run of the same study."""
        if self.out.exists():
            shutil.rmtree(self.out)
        self.work.rename(self.out)
        (self.out / "identity.json").unlink()


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{str(path)!r} is damaged, so it cannot be told what the folder holds. Delete or move it.")
    return found


def _differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [key for key in other if one.get(key) != other[key]]


def write_json(value: Any, path: Path) -> Path:
    """Write indented JSON, whole or not at all; NaN and infinity are refused, since JSON has none."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return write_atomically(path, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))
