"""A study's folder: made from the store beside its place, and swapped in whole."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechsteer.errors import InputError, writing
from mechsteer.store.atomic import to_disk
from mechsteer.store.keys import digest
from mechsteer.store.reading import damaged, read_json
from mechsteer.store.schema import misfit
from mechsteer.store.sums import Sums

FORMAT = 5
"""Of the folder; rises when what reads it could misread an older one."""
MANIFEST = {"format": int, "files": [str]}
"""What every study.json says; what is told of a study is in tables.py."""


class Busy(InputError):
    """Another run is writing what was to be written."""


@dataclass(frozen=True)
class StudyFolder:
    """The place of a study; it may hold an earlier one, which is replaced, and nothing else."""

    out: Path

    @classmethod
    def at(cls, out: Path) -> "StudyFolder":
        """The place, if a study can be put there; else one sentence, before anything is computed."""
        # A link leads to the folder that is replaced, and stays.
        place = Path(os.path.realpath(out))
        if place in (here := Path.cwd(), *here.parents):
            raise InputError(
                f"{str(out)!r} is the folder that you stand in, or above it. Name a folder inside with --out."
            )
        if os.path.ismount(place):
            raise InputError(
                f"{str(out)!r} is a mounted disk, which cannot be replaced. Name a folder inside with --out."
            )
        if place.exists():
            _check_holds_a_study(place, out)
        parent = next(folder for folder in place.parents if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise InputError(f"Nothing can be written to {str(parent)!r}. Name another folder with --out.")
        return cls(place)

    @contextmanager
    def held(self, locks: Path) -> Iterator[None]:
        """No other run writes here inside the block; a run that is killed lets go."""
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / f"{digest(str(self.out))[:32]}.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise Busy(
                    f"Another run (process {lock.read().strip() or 'unknown'}) is writing {str(self.out)!r}. "
                    "Wait until it ends, or choose another folder with --out."
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            for left in self.out.parent.glob(f".{self.out.name}.*.partial"):
                shutil.rmtree(left, ignore_errors=True)
            yield

    def manifest(self) -> dict[str, Any]:
        """What the study there says of itself; empty where there is none."""
        path = self.out / "study.json"
        return read_manifest(path) if path.is_file() else {}

    def is_whole(self) -> bool:
        """Whether every file of the study there is as it was written."""
        try:
            sums = Sums.of(self.out)
            sums.check()
        except InputError:
            return False
        return all(sums.has(name) for name in self.manifest()["files"])

    def replace(self, fill: Callable[[Path], None]) -> None:
        """Let `fill` make the folder beside its place, then swap it in whole."""
        work, old = (self.out.with_name(f".{self.out.name}.{os.getpid()}.{which}.partial") for which in ("new", "old"))
        try:
            with writing(self.out):
                work.mkdir(parents=True)
                fill(work)
                for path in sorted(work.rglob("*")):
                    to_disk(path)
                if self.out.exists():
                    os.rename(self.out, old)
                os.rename(work, self.out)
                to_disk(self.out.parent)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def read_manifest(path: Path) -> dict[str, Any]:
    """study.json, if this version wrote it."""
    try:
        found = read_json(Sums.of(path.parent).path(path.name), {})
    except InputError as error:
        raise InputError(f"What {str(path.parent)!r} holds cannot be read: {error} Or move the folder away.") from error
    if found.get("format") != FORMAT:
        made = found.get("mechsteer", "unknown")
        raise InputError(
            f"{str(path.parent)!r} was made by another version (mechsteer {made}). Run its study again into another folder; "
            "steers in its interventions/ still open."
        )
    if wrong := misfit(found, MANIFEST):
        raise damaged(path, wrong)
    return found


def files_of(folder: Path) -> list[str]:
    """Every file of a folder, by its path in it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _check_holds_a_study(place: Path, out: Path) -> None:
    if not place.is_dir() or (not (place / "study.json").is_file() and any(place.iterdir())):
        raise InputError(f"{str(out)!r} exists and is no study. Choose another folder with --out.")
    if not (place / "study.json").is_file():
        return
    known = {"study.json", "report.html", *read_manifest(place / "study.json")["files"]}
    # Figures and pages may be drawn again, with others beside them.
    foreign = [name for name in files_of(place) if name not in known and not name.startswith("figures/")]
    if foreign:
        raise InputError(
            f"{str(out)!r} holds files that no study wrote, such as {foreign[0]!r}. Move them, or choose another folder with "
            "--out."
        )
