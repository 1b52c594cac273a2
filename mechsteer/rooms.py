"""Our own rooms `analyses` and `figures`, whatever else is called so where a program runs."""

import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOMS = ("analyses", "figures")


def our_rooms() -> None:
    """Let these names mean the rooms beside this package: a folder's own figures.py would be found before them."""
    for name in ROOMS:
        if _is_ours(name):
            continue
        _forget(name)
        place = _place(name)
        spec = importlib.util.spec_from_file_location(name, place, submodule_search_locations=[str(place.parent)])
        assert spec is not None and spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


def plot(value: object, ax: "Axes | None" = None) -> "Axes":
    """A sweep, a fitted curve or a frontier on matplotlib's axes, for a notebook: `ms.plot(sweep)`."""
    return _drawing()(value, ax)


@cache
def _drawing() -> "Callable[[object, Axes | None], Axes]":
    """What draws values, taken out of our figures; afterwards the names of our rooms mean what they meant to the program."""
    if all(map(_is_ours, ROOMS)):
        return import_module("figures.drawing.values").plot_value
    before = {name: module for room in ROOMS for name, module in _imported(room).items()}
    our_rooms()
    try:
        return import_module("figures.drawing.values").plot_value
    finally:
        for room in ROOMS:
            _forget(room)
        sys.modules.update(before)


def _place(room: str) -> Path:
    return Path(__file__).parents[1] / room / "__init__.py"


def _is_ours(room: str) -> bool:
    """Whether this name has been imported, and means our room."""
    place = getattr(sys.modules.get(room), "__file__", None)
    return place is not None and Path(place) == _place(room)


def _imported(room: str) -> dict[str, ModuleType]:
    """A room, and what lies in it."""
    return {name: module for name, module in sys.modules.items() if name.split(".")[0] == room}


def _forget(room: str) -> None:
    for name in _imported(room):
        del sys.modules[name]
