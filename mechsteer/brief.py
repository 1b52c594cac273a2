"""How a value is shown: in a line or so, with tensors and tables by their size and without what stands at its default."""

import reprlib
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any


def brief(self: Any) -> str:
    """The repr of a dataclass that holds many numbers: `__repr__ = brief`."""
    values = {item.name: getattr(self, item.name) for item in fields(self) if item.repr}
    told = (f"{item.name}={_SHORT.repr(values[item.name])}" for item in fields(self) if _is_told(item, values))
    return f"{type(self).__name__}({', '.join(told)})"


def size(array: Any) -> str:
    """What is said of a tensor or an array in place of its numbers: float32[41, 200]."""
    return f"{str(array.dtype).removeprefix('torch.')}{list(array.shape)}"


def _is_told(item: Field, values: dict[str, Any]) -> bool:
    """Whether it is another value than the default; an array never is the default."""
    if item.name not in values:
        return False
    default = item.default if item.default_factory is MISSING else item.default_factory()
    return type(values[item.name]) is not type(default) or values[item.name] != default


class _Short(reprlib.Repr):
    """Looks for `repr_` and the name of a value's type, so that no library is imported for it."""

    def repr_float(self, number: float, level: int) -> str:
        return f"{number:.4g}"

    def repr_ndarray(self, array: Any, level: int) -> str:
        return size(array)

    repr_Tensor = repr_Parameter = repr_ndarray

    def repr_DataFrame(self, table: Any, level: int) -> str:
        return f"{len(table)} rows of {', '.join(map(str, table.columns))}"

    def repr_instance(self, x: Any, level: int) -> str:
        if isinstance(x, Enum):
            return str(x)
        # One of many is shown by its name alone.
        return (
            f"{type(x).__name__}(...)" if is_dataclass(x) and level < self.maxlevel else super().repr_instance(x, level)
        )


_SHORT = _Short()
_SHORT.maxtuple = _SHORT.maxlist = 3
_SHORT.maxstring, _SHORT.maxother = 60, 200
