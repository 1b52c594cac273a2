"""What can be made again and takes long to make, kept between runs: a folder for each thing, named by what it is made from."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from ..errors import InputError
from .atomic import to_disk, write_json

MADE = "made.json"
"""The file that says by which versions a folder was made, and what it must hold; written last."""


def cache_folder() -> Path:
    """As MECHSTEER_CACHE says, else where this platform keeps caches."""
    asked = os.environ.get("MECHSTEER_CACHE")
    return Path(asked) if asked else user_cache_path("mechsteer", appauthor=False)


def cached(name: str, versions: Mapping[str, str], make: Callable[[Path], object]) -> Path:
    """The folder of that name; `make` fills it where it is missing, damaged, or by other versions.

    Of two processes that want it, one makes it and the other waits.
    """
    place = cache_folder() / name
    if _is_whole(place, versions):
        return place
    try:
        with _held(place):
            if not _is_whole(place, versions):
                _replace(place, versions, make)
    except OSError as error:
        raise InputError(
            f"{str(place)!r} cannot be written ({error.strerror or error}). Name another folder by MECHSTEER_CACHE."
        ) from error
    return place


def _replace(place: Path, versions: Mapping[str, str], make: Callable[[Path], object]) -> None:
    for left in place.parent.glob(f".{place.name}.*.partial"):
        shutil.rmtree(left)
    work = place.with_name(f".{place.name}.{os.getpid()}.partial")
    work.mkdir()
    try:
        make(work)
        write_json({"versions": dict(versions), "files": _files(work)}, work / MADE)
        for path in sorted(work.rglob("*")):
            to_disk(path)
        shutil.rmtree(place, ignore_errors=True)
        os.rename(work, place)
        to_disk(place.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _is_whole(place: Path, versions: Mapping[str, str]) -> bool:
    try:
        made = json.loads((place / MADE).read_text(encoding="utf-8"))
        return made == {"versions": dict(versions), "files": _files(place)}
    except (OSError, ValueError):
        return False


def _files(folder: Path) -> dict[str, list[int]]:
    """Size and time of each file: what was cut short or written over since has others."""
    stats = {path.name: path.stat() for path in sorted(folder.iterdir()) if path.name != MADE}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}


@contextmanager
def _held(place: Path) -> Iterator[None]:
    """No other process makes the folder inside the block; one that is killed lets go."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f".{place.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
