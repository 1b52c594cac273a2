"""Safetensors files that are the same bytes for the same content, and whose metadata hold its checksum."""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InputError
from .atomic import write_atomically

CHECKSUM = "sha256"
"""In the metadata: of the file's bytes as they are without it."""
LONGEST_HEADER = 100_000_000
"""Bytes; the library has the same limit."""


def write_tensors(serialized: bytes, path: str | Path) -> Path:
    """What `safetensors.*.save` gives, with its header in order and its checksum, as a file that is whole or not there."""
    header, start = _header(serialized, path)
    metadata, data = dict(header.pop("__metadata__", {})), serialized[start:]
    metadata[CHECKSUM] = _checksum(metadata, header, data)
    content = _content(metadata, header, data)
    return write_atomically(path, lambda temporary: temporary.write_bytes(content))


def read_metadata(path: str | Path) -> dict[str, str]:
    """What a file says of itself, without its tensors."""
    with _opened(path) as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        begin = struct.pack("<Q", length) + file.read(min(length, LONGEST_HEADER + 1))
    return _header(begin, path)[0].get("__metadata__", {})


def read_tensors(path: str | Path) -> tuple[dict[str, str], bytes]:
    """The metadata but for the checksum, and what `safetensors.*.load` takes; one sentence if it is not what was written.

    Files without a checksum, of older versions, are taken as they are.
    """
    with _opened(path) as file:
        content = file.read()
    header, start = _header(content, path)
    metadata = header.pop("__metadata__", {})
    written = metadata.pop(CHECKSUM, None)
    if written not in (None, _checksum(metadata, header, content[start:])):
        raise InputError(
            f"{str(path)!r} is damaged: its content is not what its checksum is of. Take a whole copy, or make it again."
        )
    return metadata, content


def _opened(path: str | Path) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read ({error.strerror}). Pass a .safetensors file.") from error


def _header(content: bytes, path: str | Path) -> tuple[dict[str, Any], int]:
    """The header of a file, and where the data begin."""
    try:
        (length,) = struct.unpack_from("<Q", content)
        if length > min(LONGEST_HEADER, len(content) - 8):
            raise ValueError("its header is cut off")
        header = json.loads(content[8 : 8 + length])
        metadata = header.get("__metadata__", {})
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("its metadata are no texts")
    except (struct.error, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{str(path)!r} is not a safetensors file ({error}). Pass one that is whole.") from error
    return header, 8 + length


def _content(metadata: Mapping[str, str], tensors: Mapping[str, Any], data: bytes) -> bytes:
    """The file in its one form: the library writes metadata in random order."""
    # Tensors lie on eight bytes, so the header is filled up with spaces, as the library does.
    header = {"__metadata__": dict(sorted(metadata.items())), **tensors}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def _checksum(metadata: Mapping[str, str], tensors: Mapping[str, Any], data: bytes) -> str:
    return hashlib.sha256(_content(metadata, tensors, data)).hexdigest()
