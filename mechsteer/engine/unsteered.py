"""What a model gives before any steer acts, kept while many steers are learned and measured on the same pairs."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeVar
from weakref import WeakKeyDictionary

from ..models.model import Model

T = TypeVar("T")

N_BYTES = 2**29


@dataclass
class Unsteered:
    """The values used last, up to so many bytes."""

    n_bytes: int
    _kept: OrderedDict[Hashable, tuple[object, int]] = field(default_factory=OrderedDict)

    def get(self, key: Hashable, compute: Callable[[], T], size: Callable[[T], int]) -> T:
        """The value of a key, computed if it is not kept; one that is too large for all the room is not."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]  # pyright: ignore[reportReturnType]
        value = compute()
        if (taken := size(value)) <= self.n_bytes:
            self._kept[key] = value, taken
            while sum(taken for _, taken in self._kept.values()) > self.n_bytes:
                self._kept.popitem(last=False)
        return value


_OF_MODEL: WeakKeyDictionary[Model, Unsteered] = WeakKeyDictionary()


def keep_unsteered(model: Model, n_bytes: int = N_BYTES) -> None:
    """From now on, what lies before a site is computed once for the same pairs, as long as it is among the last `n_bytes`.

    For whoever holds the model alone: were its weights changed in place, what is kept would be that of the weights before. The
    plain engine, which reads models that somebody has put hooks on, keeps nothing.
    """
    _OF_MODEL[model] = Unsteered(n_bytes)


def unsteered(model: Model) -> Unsteered:
    """What is kept of the model; nothing, unless somebody asked for it."""
    return _OF_MODEL.get(model) or Unsteered(0)
