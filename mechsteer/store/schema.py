"""Shapes: what JSON that is read back must be like, by its fields."""

import math
from collections.abc import Mapping
from types import UnionType
from typing import Any, get_args

Shape = type | UnionType | list[Any] | dict[Any, Any]
"""Of a JSON value: `int`, `str | None`; `[shape]`, a list of such; `{"name": shape}`, an object that has at least these fields;
`{str: shape}`, one with any fields of that shape. A `float` is finite, and an `int` will do; `object` is anything."""


def misfit(value: Any, shape: Shape, where: str = "it") -> str:
    """Where a JSON value is not of this shape, in a few words; "" where it is."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where} is no list"
        return next(filter(None, (misfit(item, shape[0], f"{where}[{at}]") for at, item in enumerate(value))), "")
    if isinstance(shape, dict):
        if not isinstance(value, Mapping):
            return f"{where} has no fields"
        expected = dict.fromkeys(value, shape[str]) if str in shape else shape
        if missing := [name for name in expected if name not in value]:
            return f"{where} has no {missing[0]!r}"
        return next(filter(None, (misfit(value[name], kind, repr(name)) for name, kind in expected.items())), "")
    if strange := not_finite(value, where):
        return strange
    # By type and not by instance, for True is an int.
    kinds, own = get_args(shape) or (shape,), type(value)
    is_fit = object in kinds or own in kinds or (own is int and float in kinds)
    return "" if is_fit else f"{where} is {_NAMES.get(own, own.__name__)}"


_NAMES = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number", type(None): "null"}


def not_finite(value: Any, where: str = "it") -> str:
    """Which number of a JSON value is NaN or infinite, in a few words; "" where none is."""
    if isinstance(value, Mapping):
        return next(filter(None, (not_finite(item, f"{where}[{name!r}]") for name, item in value.items())), "")
    if isinstance(value, list | tuple):
        return next(filter(None, (not_finite(item, f"{where}[{at}]") for at, item in enumerate(value))), "")
    return f"{where} is {value}" if isinstance(value, float) and not math.isfinite(value) else ""
