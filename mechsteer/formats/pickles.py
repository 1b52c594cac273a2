"""What torch.save wrote: tensors and plain values, read without running anything that stands in it."""

import math
import pickle
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..store.atomic import write_atomically
from ..store.reading import damaged

Stand = tuple[Callable, str]
"""A class of ours that stands for one of another package, by the other's name."""
FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def read_pickle(path: Path, stands: Sequence[Stand] = ()) -> Any:
    """The value; a pickle that asks for code is refused, and none of it is run."""
    if not path.is_file():
        raise InputError(f"{str(path)!r} is no file. Pass one that torch.save wrote.")
    try:
        with torch.serialization.safe_globals(list(stands)), warnings.catch_warnings():
            # Python's own default, of which torch warns that it has not tried it all.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "WeightsUnpickler" in str(error):
            raise InputError(
                f"{str(path)!r} holds more than tensors, and code would have to run to read it, which is not done. Save its "
                "tensors alone, by torch.save(tensor, path)."
            ) from error
        raise damaged(path, "it is no file of torch.save that can be read") from error
    # A reader of bytes that nobody meant may raise anything.
    except Exception as error:
        raise damaged(path, "it is no file of torch.save that can be read") from error


def write_pickle(value: Any, path: Path) -> Path:
    """The file, whole or not there."""
    return write_atomically(path, lambda temporary: torch.save(value, temporary))


def strange(value: Any) -> str:
    """What a value is, in words, that is no tensor of floats each of which lies in the file; "" for one that is."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    if value.is_nested or value.layout is not torch.strided:
        return "a nested or sparse tensor"
    if value.dtype not in FLOATS:
        return f"a tensor of {value.dtype}"
    # A view may claim to be of any size, and a tensor on the device "meta" has no numbers.
    if value.device.type != "cpu" or value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return f"a tensor of shape {tuple(value.shape)} without a number of its own for each entry"
    return ""


def tensor_in(value: Any, path: Path, n_axes: Sequence[int]) -> Tensor:
    """The value in float32, if it is a tensor of numbers with so many axes."""
    if what := strange(value):
        raise InputError(f"{str(path)!r} holds {what} where a tensor of floats should be. Pass a file of that format.")
    if value.ndim not in n_axes or not math.prod(value.shape):
        raise InputError(
            f"{str(path)!r} holds a tensor of shape {tuple(value.shape)}, and the format has {' or '.join(map(str, n_axes))} "
            "axes. Name the format that it is of."
        )
    return value.detach().resolve_neg().float().contiguous()
