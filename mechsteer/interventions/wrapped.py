"""A shift made from another while something is learned or measured: only its delta is its own."""

from dataclasses import dataclass
from typing import Any, NoReturn

from ..models.sites import Site
from .base import Shift


@dataclass(frozen=True, eq=False)
class Wrapped(Shift):
    """What wraps `inner` is steered with like any other, and is neither initialised, trained nor saved by itself."""

    inner: Shift

    form = "wrapped"

    @classmethod
    def init(cls, site: Site, d_in: int, d_out: int, **more: Any) -> NoReturn:
        raise TypeError(f"A {cls.__name__} has no start of its own; its inner shift has.")

    def units(self, size_in: float, size_out: float) -> NoReturn:
        raise TypeError(f"A {type(self).__name__} is not trained; its inner shift is.")

    def as_weights(self, d_in: int, d_out: int) -> NoReturn:
        raise TypeError(f"A {type(self).__name__} has no weights; its inner shift has.")

    @property
    def widths(self) -> tuple[int | None, int]:
        return self.inner.widths
