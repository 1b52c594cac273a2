"""What a format cannot say of a steer: mechsteer.json, which lies beside a file, or in a folder, that was exported."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..store.atomic import write_json
from ..store.reading import read_json
from ..store.versions import MECHSTEER

BESIDE = "mechsteer.json"


@dataclass(frozen=True)
class Beside:
    """The format, what it asks, where the steer comes from, and how it was written."""

    format: str | None
    """None where the format is only written."""
    said: Mapping[str, str]
    origin: Mapping[str, Any]
    notes: Sequence[str]


def write_beside(path: Path, beside: Beside, written: Sequence[Path], **more: Any) -> Path:
    """Say of these files, which make up the steer, what they do not say themselves."""
    content = {
        "mechsteer": MECHSTEER,
        "format": beside.format,
        "said": dict(beside.said),
        "origin": dict(beside.origin),
        "notes": list(beside.notes),
        "files": {file.name: _sum(file) for file in sorted(written)},
    }
    return write_json(content | more, place_of(path))


def read_beside(path: Path) -> Beside | None:
    """What was written beside a steer, if anything; one sentence if the steer is not the one that it speaks of."""
    place = place_of(path)
    if not place.is_file():
        return None
    found = read_json(
        place, {"format": str | None, "said": {str: str}, "origin": {str: object}, "notes": [str], "files": {str: str}}
    )
    for name, known in found["files"].items():
        file = (path if path.is_dir() else path.parent) / Path(name).name
        if not file.is_file() or _sum(file) != known:
            raise InputError(
                f"{str(file)!r} is not the file that {place.name!r} beside it speaks of: it was changed or damaged since. Export "
                f"it again, or remove {place.name!r} and say yourself what it is."
            )
    return Beside(found["format"], found["said"], found["origin"], found["notes"])


def exported(path: Path, format: str | None) -> set[str]:
    """Names of the files that an earlier export in this format has written there."""
    place = place_of(path)
    said = read_json(place, {"format": str | None, "files": {str: str}}) if place.is_file() else {}
    return {*said["files"]} if said and said["format"] == format else set()


def place_of(path: Path) -> Path:
    """Where it is said: in a folder, or beside a file under its whole name."""
    return path / BESIDE if path.is_dir() else path.with_name(f"{path.name}.{BESIDE}")


def _sum(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
