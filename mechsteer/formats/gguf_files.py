"""GGUF files of steers, read and written by the `gguf` package."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError
from ..store.atomic import write_atomically
from ..store.reading import parsing

GGUF = ".gguf"


class _Reader(GGUFReader):
    """The package's reader goes on for ever where a file claims to be longer than it is."""

    def _get(self, offset: Any, dtype: Any, count: Any = 1, override_order: Any = None) -> Any:
        found = super()._get(offset, dtype, count, override_order)
        if len(found) < count:
            raise ValueError("it ends too early")
        return found


def read_gguf(
    path: Path, check: Callable[[Mapping[str, Any], Sequence[str]], None]
) -> tuple[dict[str, Any], dict[str, Float[Tensor, "..."]]]:
    """What a file says of itself, lists aside, and its tensors in float32.

    Args:
        check: raises by what it says and the tensors' names, before any is unpacked: a whole model takes a minute.
    """
    if not path.is_file():
        raise InputError(f"{str(path)!r} is no file. Pass one that ends in {GGUF}.")
    with parsing(path, "GGUF file"):
        reader = _Reader(path)
        said = {
            name: field.contents()
            for name, field in reader.fields.items()
            if not name.startswith("GGUF.") and field.types[0] is not GGUFValueType.ARRAY
        }
    check(said, [tensor.name for tensor in reader.tensors])
    with parsing(path, "GGUF file"):
        tensors = {
            tensor.name: torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type), np.float32))
            for tensor in reader.tensors
        }
    return said, tensors


def write_gguf(path: Path, architecture: str, said: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Path:
    """A file that is whole or not there; texts, whole numbers and others are of the types that llama.cpp reads."""

    def write(temporary: Path) -> None:
        writer = GGUFWriter(temporary, architecture)
        for name, value in said.items():
            add = {str: writer.add_string, int: writer.add_uint32, float: writer.add_float32}[type(value)]
            add(name, value)
        for name, tensor in tensors.items():
            writer.add_tensor(name, np.ascontiguousarray(tensor.detach().float().cpu().numpy()))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    return write_atomically(path, write)


def settings_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says of itself, as an origin may keep it."""
    plain = (str, int, float)
    return {
        name: value
        for name, value in said.items()
        if isinstance(value, plain) and not (isinstance(value, float) and not math.isfinite(value))
    }
