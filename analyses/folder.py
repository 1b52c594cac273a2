"""A study's folder: filled beside its place, and moved there whole once the study is complete."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mechsteer.errors import InputError
from mechsteer.files import write_atomically

T = TypeVar("T")


@dataclass(frozen=True)
class StudyFolder:
    """Where a running study keeps what is finished; an interrupted run leaves it, and the same command goes on."""

    out: Path
    work: Path

    @classmethod
    def open(cls, out: Path, identity: dict[str, Any]) -> "StudyFolder":
        """Begin or go on; `identity` says what is studied, and a folder of another study is refused."""
        identity = json.loads(json.dumps(identity))
        if out.exists() and not (out / "study.json").is_file():
            if not out.is_dir() or any(out.iterdir()):
                raise InputError(f"{str(out)!r} exists and is no study. Choose another folder with --out.")
        elif out.exists() and (differing := _differing(json.loads((out / "study.json").read_text()), identity)):
            raise InputError(
                f"{str(out)!r} holds another study; it differs in {', '.join(differing)}. "
                "Choose another folder with --out, or delete that one."
            )
        work = out.with_name(f".{out.name}.partial")
        begun = work / "identity.json"
        if begun.is_file() and _differing(json.loads(begun.read_text()), identity):
            shutil.rmtree(work)
        if not begun.is_file():
            write_json(identity, begun)
        return cls(out, work)

    def keep(self, name: str, load: Callable[[Path], T], make: Callable[[], T], save: Callable[[T, Path], Any]) -> T:
        """What `make` gives, saved as `name`; loaded instead where an interrupted run has saved it already."""
        path = self.work / name
        if not path.exists():
            made = make()
            write_atomically(path, lambda temporary: save(made, temporary))
        # Loaded in either case, so that a run which goes on sees the same numbers as one that never stopped.
        return load(path)

    def forget(self, name: str) -> None:
        """Remove a folder of parts, now that what they were kept for is whole."""
        shutil.rmtree(self.work / name, ignore_errors=True)

    def finish(self) -> None:
        """Move the folder to its place, in exchange for an earlier run of the same study."""
        (self.work / "identity.json").unlink()
        if self.out.exists():
            shutil.rmtree(self.out)
        self.work.rename(self.out)


def _differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [key for key in other if one.get(key) != other[key]]


def write_json(value: Any, path: Path) -> Path:
    """Write indented JSON, whole or not at all; NaN and infinity are refused, since JSON has none."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return write_atomically(path, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))
