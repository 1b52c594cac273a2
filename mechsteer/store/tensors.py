"""Safetensors files that are the same bytes for the same content: the library writes metadata in random order."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .atomic import write_atomically


def write_tensors(serialized: bytes, path: str | Path) -> Path:
    """What `safetensors.*.save` gives, with its header in order, as a file that is whole or not there."""
    (length,) = struct.unpack("<Q", serialized[:8])
    header: Mapping[str, Any] = json.loads(serialized[8 : 8 + length])
    metadata = dict(sorted(header.get("__metadata__", {}).items()))
    ordered = {"__metadata__": metadata} | {name: value for name, value in header.items() if name != "__metadata__"}
    # Tensors lie on eight bytes, so the header is filled up with spaces, as the library does.
    text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    data = struct.pack("<Q", len(text)) + text + serialized[8 + length :]
    return write_atomically(path, lambda temporary: temporary.write_bytes(data))
