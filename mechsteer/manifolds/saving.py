"""Fitted values on disk: one safetensors file, which names the class and holds its settings."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..errors import InputError
from ..store import versions
from ..store.reading import damaged, json_of
from ..store.tensors import read_tensors, write_tensors


def save_value(value: Any, path: str | Path) -> Path:
    """Write a frozen value whose fields are arrays and plain settings."""
    parts = {item.name: getattr(value, item.name) for item in fields(value)}
    arrays = {name: np.ascontiguousarray(part) for name, part in parts.items() if isinstance(part, ndarray)}
    metadata = {
        "format": "mechsteer manifold 1",
        "mechsteer": versions.MECHSTEER,
        "class": type(value).__name__,
        "settings": json.dumps({name: part for name, part in parts.items() if name not in arrays}),
    }
    return write_tensors(save(arrays, metadata), path)


def load_value(path: str | Path, classes: Mapping[str, Callable[[], type]]) -> Any:
    """Read a value of one of the classes, each by its name and as what gives it."""
    metadata, content = read_tensors(path)
    name = metadata.get("class", "")
    if name not in classes:
        raise InputError(f"{str(path)!r} holds the class {name!r}. Pass a file that holds one of {sorted(classes)}.")
    try:
        arrays = {
            item: array.copy() for item, array in load(content).items()
        }  # which are of their own, and can be written to
        return classes[name]()(**arrays, **json_of(metadata["settings"], {}, "its settings"))
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise damaged(path, repr(error)) from error
