"""The store: a folder of finished results, each under the key of the unit that made it. What is there is finished.

    ab/ab12…/           a unit's result: its files, record.json, which says what made it, and the checksums of all
    parts/ab12…/        of a unit that is not finished: what it has kept so far
    failed/ab12….json   why a unit could not be finished, and how often it was tried
    groups/…/           marks by which results that share something are found
    models/…            what a model's files were found to be
    answers/…           what judges that are asked have answered, question by question
    locks/…             held by the runs that write a study's folder, and by what prunes
    tmp/…               what is being written

A result is written in tmp, brought to the disk, and moved into place, so a reader sees all of it or nothing, whenever a process
is killed; one that has changed since is not read, but made again. Two writers of one key do no harm: the first one's result
stays. Only what takes results away needs to be alone.
"""

import fcntl
import json
import logging
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import psutil

from ..errors import InputError, writing
from .atomic import interrupted_afterwards, to_disk, write_json
from .reading import read_json
from .schema import misfit
from .sums import Sums, write_sums

MARK = "mechsteer-store-1"
"""The file that says that a folder is a store, and of which layout."""
ROOMS = ("tmp", "parts", "failed", "groups", "models", "answers", "locks")
RECORD = {"kind": str, "words": str, "seconds": float, "made": float}
FAILURE = {"words": str, "error": str, "tried": int}
ABANDONED = 86_400.0
"""Seconds after which what another machine was writing counts as left behind."""
CLOCKS_DIFFER = 5.0
"""Seconds by which the clocks of processes and of files may."""
_log = logging.getLogger("mechsteer")


@dataclass(frozen=True)
class Record:
    """What made a result, in plain words and numbers; read without its unit."""

    key: str
    kind: str
    words: str
    seconds: float
    made: float
    """When, in seconds since 1970."""
    n_bytes: int
    folder: Path


@dataclass(frozen=True)
class Store:
    """The results of any number of studies, which share what they have in common."""

    folder: Path

    @property
    def is_there(self) -> bool:
        """Whether the folder is a store."""
        return (self.folder / MARK).is_file()

    def prepare(self) -> None:
        """Make the folder, if need be, and remove what killed writers have left in it."""
        try:
            if not self.is_there and self.folder.is_dir() and any(self.folder.iterdir()):
                raise InputError(
                    f"{str(self.folder)!r} holds other files than a store's. Name a folder of its own with --store."
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / MARK).touch()
            for name in ROOMS:
                (self.folder / name).mkdir(exist_ok=True)
            self.tidy()
        except OSError as error:
            raise InputError(
                f"No results can be kept in {str(self.folder)!r} ({error.strerror}). Name another folder with --store."
            ) from error

    def tidy(self) -> None:
        """Remove what processes of this machine that live no more were writing, and old leftovers of other machines."""
        for path in (self.folder / "tmp").iterdir():
            host, _, pid = path.name.rpartition(".")[0].rpartition(".")
            with suppress(OSError):
                written = path.stat().st_mtime
                old = time.time() - written > ABANDONED
                if has_ended(pid, written) if host == _HOST else old:
                    _clear(path)
        # A unit that was killed between its result and its parts.
        for path in (self.folder / "parts").iterdir():
            if path.name in self:
                _clear(path)
        # A result whose move into place was cut short is not one, and its place must be free.
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            if len(path.name) == KEY_DIGITS and not (path / "record.json").is_file():
                _clear(path)

    def place(self, key: str) -> Path:
        """Where a result lies, or will lie."""
        return self.folder / key[:2] / key

    def __contains__(self, key: str) -> bool:
        return (self.place(key) / "record.json").is_file()

    def is_whole(self, key: str) -> bool:
        """Whether a result is there, every file of which is as it was written; this reads all of them."""
        try:
            sums = Sums.of(self.place(key))
            sums.check()
        except InputError:
            return False
        # One of an older version has no checksums.
        return key in self and sums.known is not None

    def add(self, key: str, record: dict[str, Any], write: Callable[[Path], object]) -> Path:
        """Let `write` fill a folder, then move it to the key's place; on any failure nothing is there, and Ctrl-C waits."""
        place = self.place(key)
        with interrupted_afterwards(), writing(self.folder), self._temporary() as folder:
            write(folder)
            (folder / "record.json").write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
            write_sums(folder)
            for path in sorted(folder.rglob("*")):
                to_disk(path)
            to_disk(folder)
            place.parent.mkdir(exist_ok=True)
            try:
                os.rename(folder, place)
            except OSError:
                if key not in self:
                    raise
            to_disk(place.parent)
        shutil.rmtree(self.parts(key), ignore_errors=True)
        (self.folder / "failed" / f"{key}.json").unlink(missing_ok=True)
        return place

    def parts(self, key: str) -> Path:
        """A folder in which a unit may keep what it has done so far; it goes once the unit is finished."""
        return self.folder / "parts" / key

    def answers(self, judge: str) -> Path:
        """A folder of what a judge has answered, which any result may use."""
        return self.folder / "answers" / judge

    def fail(self, key: str, why: dict[str, Any]) -> None:
        """Remember that a unit could not be finished, and how often."""
        tried = (self.failure(key) or {}).get("tried", 0) + 1
        self.note(f"failed/{key}.json", why | {"tried": tried, "when": time.time()})

    def note(self, name: str, value: dict[str, Any]) -> None:
        """Write a file in one of the store's rooms, whole or not at all."""
        with writing(self.folder), self._temporary() as folder:
            os.replace(write_json(value, folder / "note.json"), self.folder / name)

    def failure(self, key: str) -> dict[str, Any] | None:
        """Why a unit could not be finished, if it could not."""
        found = _read(self.folder / "failed" / f"{key}.json")
        return None if found is None or misfit(found, FAILURE) else found

    def failures(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What could not be finished, and why."""
        for path in sorted((self.folder / "failed").glob("[0-9a-f]*.json")):
            if (found := self.failure(path.stem)) is not None:
                yield path.stem, found

    def forgive(self, key: str) -> None:
        """Forget that a unit failed, so that it is tried again."""
        (self.folder / "failed" / f"{key}.json").unlink(missing_ok=True)

    def mark(self, group: str, key: str) -> None:
        """Say that a finished result belongs to a group."""
        folder = self.folder / "groups" / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / key).touch()

    def marked(self, group: str) -> list[str]:
        """The keys of the finished results of a group."""
        folder = self.folder / "groups" / group
        return sorted(path.name for path in folder.iterdir() if path.name in self) if folder.is_dir() else []

    def record(self, key: str) -> dict[str, Any]:
        """What is written beside a finished result."""
        found = _read(self.place(key) / "record.json")
        if found is None:
            raise InputError(f"The store in {str(self.folder)!r} holds no result {key!r}. Run the study that makes it.")
        return found

    def records(self) -> Iterator[Record]:
        """Every finished result."""
        for path in sorted(self.folder.glob("[0-9a-f][0-9a-f]/*/record.json")):
            found, folder = _read(path), path.parent
            if found is not None and not misfit(found, RECORD):
                size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
                yield Record(
                    folder.name, found["kind"], found["words"], found["seconds"], found["made"], size, folder
                )  # fmt: skip

    def used_by(self, studies: Path) -> set[str]:
        """The keys of all that the studies in a folder, and in its campaigns, are made of, with what that was made from.

        One sentence if a study is damaged: what it is made of might go.
        """
        found: set[str] = set()
        todo = []
        for path in (*studies.glob("*/study.json"), *studies.glob("*/*/study.json")):
            todo += read_json(Sums.of(path.parent).path(path.name), {"units": [str]})["units"]
        while todo:
            if (key := todo.pop()) not in found:
                found.add(key)
                todo += _keys_in((_read(self.place(key) / "record.json") or {}).get("said"))
        return found

    @contextmanager
    def shared(self) -> Iterator[None]:
        """A study is made from it inside the block: nothing is pruned meanwhile, and what prunes just now is waited for."""
        with self._lock() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                _log.warning("Waiting until what prunes %r has ended.", str(self.folder))
                fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No study is made from it inside the block; one sentence if one is already."""
        with self._lock() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                writers = ", ".join(self._writers()) or "unknown"
                raise InputError(
                    f"A study is being made from {str(self.folder)!r} (process {writers}), and might lose what it has finished. "
                    "Wait until it ends, or see what would go with --dry-run."
                ) from None
            yield

    def _lock(self) -> TextIO:
        folder = self.folder / "locks"
        folder.mkdir(exist_ok=True)
        # Over NFS a file can be locked by several only if they may read it.
        return (folder / "store.lock").open("a+")

    def _writers(self) -> list[str]:
        """The processes of this machine that wrote a study's folder last and live still."""
        locks = [path for path in (self.folder / "locks").glob("*.lock") if path.stat().st_size]
        return sorted({pid for path in locks if not has_ended(pid := path.read_text().strip(), path.stat().st_mtime)})

    def remove(self, key: str) -> None:
        """Take a result away; its record goes first, so that half of it is never taken for the whole."""
        _clear(self.place(key) / "record.json")
        _clear(self.place(key))
        self.forgive(key)

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        folder = self.folder / "tmp" / f"{_HOST}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _clear(path: Path) -> None:
    """Remove what stands there, of whatever kind."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


KEY_DIGITS = 64
_HOST = socket.gethostname()


def has_ended(pid: str, since: float) -> bool:
    """Whether the process of this machine that had the number then has ended.

    It has, too, while its parent has not asked how, and where a later process has the number.
    """
    try:
        process = psutil.Process(int(pid))
        return process.status() == psutil.STATUS_ZOMBIE or process.create_time() > since + CLOCKS_DIFFER
    except (ValueError, OverflowError, psutil.NoSuchProcess):
        return True
    except psutil.AccessDenied:
        return False


def _keys_in(said: Any) -> Iterator[str]:
    """The keys of the units that a unit's fields name."""
    if isinstance(said, dict):
        if set(said) == {"unit"}:
            yield said["unit"]
        else:
            yield from (key for value in said.values() for key in _keys_in(value))
    elif isinstance(said, list):
        yield from (key for value in said for key in _keys_in(value))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
