"""Units of work: frozen values that say what to compute, found in a store by what they are.

A unit is a pure function of its fields. Fields that are units are its inputs; the others are its settings. Its key is the
SHA-256 of its kind, its version, the keys of its inputs and its settings, so a change of anything that a result depends on is
another key, and what is the same in two studies is computed once. A field marked `label()` is for reading and no part of it.
"""

import platform
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from ..errors import InputError
from .keys import digest
from .store import Store
from .versions import installed

T = TypeVar("T")


def label(default: Any = "") -> Any:
    """A field that says how to call a thing, or where to find it, and changes no result."""
    return field(default=default, compare=False, metadata={"label": True})


class FailedBefore(InputError):
    """A unit that could not be finished is not tried again unasked; `why` is what was said of it then."""

    def __init__(self, why: str, tried: int, words: str):
        times = "once" if tried == 1 else f"{tried} times"
        super().__init__(f"{why} (It failed {times} before: {words}. Add --retry to try it again.)")
        self.why, self.tried, self.words = why, tried, words

    def __reduce__(self) -> tuple:
        # A worker sends it to its parent.
        return type(self), (self.why, self.tried, self.words)


@dataclass(frozen=True)
class Unit(ABC, Generic[T]):
    """One piece of work; `version` rises when the results of a kind change."""

    kind: ClassVar[str]
    version: ClassVar[int] = 1

    @abstractmethod
    def compute(self, at: "Bench") -> T:
        """The result, from the inputs that the bench gives."""

    @abstractmethod
    def save(self, value: T, folder: Path) -> None:
        """Write the result into an empty folder, the same bytes for the same result."""

    @abstractmethod
    def load(self, folder: Path) -> T:
        """Read what `save` wrote."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What this unit is, in a few words."""

    def done(self, at: "Bench") -> None:
        """Called once the result is in the store."""

    @cached_property
    def key(self) -> str:
        """64 digits by which the result is found."""
        return digest({"kind": self.kind, "version": self.version, "fields": _said(self)})

    @property
    def inputs(self) -> Iterator["Unit"]:
        """The units whose results this one needs."""
        for item in fields(self):
            yield from _units_in(getattr(self, item.name))


def _said(value: Any) -> Any:
    """A value as its key has it: units by their keys, other values by their fields."""
    if isinstance(value, Unit):
        return {
            item.name: _field(getattr(value, item.name)) for item in fields(value) if not item.metadata.get("label")
        }
    return _field(value)


def _field(value: Any) -> Any:
    if isinstance(value, Unit):
        return {"unit": value.key}
    if is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: _field(getattr(value, item.name)) for item in fields(value) if not item.metadata.get("label")
        }
    if isinstance(value, (tuple, list)):
        return [_field(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _field(item) for name, item in value.items()}
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"A {type(value).__name__} cannot be part of a key.")


def _units_in(value: Any) -> Iterator[Unit]:
    if isinstance(value, Unit):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _units_in(item)


def in_order(units: Iterable[Unit]) -> list[Unit]:
    """The units with all that they need, each once, inputs first."""
    found: dict[str, Unit] = {}

    def visit(unit: Unit) -> None:
        if unit.key not in found:
            for other in unit.inputs:
                visit(other)
            found[unit.key] = unit

    for unit in units:
        visit(unit)
    return list(found.values())


class Bench:
    """Where units are computed: a store, and the things that are opened once and held (models).

    `open_model` gives the model that a reference names; it is called when a unit first needs it.
    """

    def __init__(self, store: Store, open_model: Callable[[Any], Any] | None = None, *, retry: bool = False):
        self.store, self.retry = store, retry
        self._open_model, self._models = open_model, {}
        self.computed: list[Unit] = []
        """What this bench has computed rather than found."""
        self._whole: set[str] = set()
        """Keys of results that were found to be as they were written."""

    def model(self, reference: Any) -> Any:
        """The open model."""
        if reference not in self._models:
            assert self._open_model is not None
            # One at a time: two large models need not fit.
            self._models = {reference: self._open_model(reference)}
        return self._models[reference]

    def holds(self, key: str) -> bool:
        """Whether the store has a result; one that is damaged is taken out of it, to be made anew."""
        if key not in self._whole and key in self.store:
            if self.store.is_whole(key):
                self._whole.add(key)
            else:
                self.store.remove(key)
        return key in self._whole and key in self.store

    def forget(self, key: str) -> None:
        """Take a result out of the store, to be made anew."""
        self._whole.discard(key)
        self.store.remove(key)

    def put(self, unit: Unit[T], value: T) -> None:
        """Keep what somebody gave as the result of a unit that is not computed."""
        if not self.holds(unit.key):
            self._keep(unit, value, 0.0)

    def place(self, unit: Unit) -> Path:
        """The folder of the unit's result, from the store, or computed now and kept there."""
        if not self.holds(unit.key):
            self._compute(unit)
        return self.store.place(unit.key)

    def get(self, unit: Unit[T]) -> T:
        """The unit's result."""
        # Loaded in either case, so that a run which goes on sees the same numbers as one that never stopped.
        return unit.load(self.place(unit))

    def run(self, units: Iterable[Unit], each: Callable[[Unit, bool], None] = lambda unit, was_there: None) -> None:
        """Compute what is missing, inputs first; `each` is told of every unit once it is there, and whether it was before."""
        for unit in in_order(units):
            was_there = self.holds(unit.key)
            if not was_there:
                self._compute(unit)
            each(unit, was_there)

    def parts(self, unit: Unit) -> Path:
        """A folder in which a unit keeps what it has done so far; it is gone once the unit is finished."""
        return self.store.parts(unit.key)

    def _compute(self, unit: Unit) -> None:
        failure = self.store.failure(unit.key)
        if failure is not None and not self.retry:
            raise FailedBefore(failure["error"], failure["tried"], unit.words)
        began = time.perf_counter()
        try:
            value = unit.compute(self)
        except Exception as error:
            # A disk that is full, or gone, or a package that is not installed, is no failure of the unit.
            if not isinstance(error, OSError) and not isinstance(error.__cause__, (OSError, ImportError)):
                sentence = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}."
                self.store.fail(unit.key, {"words": unit.words, "error": sentence, "traceback": traceback.format_exc()})
            raise
        self._keep(unit, value, time.perf_counter() - began)
        self.computed.append(unit)

    def _keep(self, unit: Unit[T], value: T, seconds: float) -> None:
        record = {
            "kind": unit.kind,
            "version": unit.version,
            "words": unit.words,
            "said": _said(unit),
            "seconds": round(seconds, 3),
            "made": time.time(),
            "software": installed(),
            "machine": platform.machine(),
            "threads": _threads(),
        }
        self.store.add(unit.key, record, lambda folder: unit.save(value, folder))
        unit.done(self)


def _threads() -> int | None:
    """How many PyTorch computes with at most, if it is loaded: sums in another order differ in their last digits."""
    torch = sys.modules.get("torch")
    return None if torch is None else torch.get_num_threads()
