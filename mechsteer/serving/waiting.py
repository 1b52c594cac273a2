"""The queue: drafts that wait are written together, as many as fit; where it is full, no more are taken."""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import InputError
from ..measuring.drafts import Draft, fit_together, write_drafts
from ..models.model import Model

_log = logging.getLogger("mechsteer")


class QueueFull(Exception):
    """So many drafts wait that no more are taken now."""


class Broken(Exception):
    """Something went wrong that is not the caller's to mend."""


@dataclass(eq=False)
class Waiting:
    """One thread writes, a batch after the other; the first that wait come first."""

    model: Model
    most_waiting: int
    most_at_once: int
    _drafts: deque[Draft] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    is_closed: bool = False

    def start(self) -> None:
        """Begin to write what comes."""
        threading.Thread(target=self._write, name="mechsteer-writing", daemon=True).start()

    def close(self) -> None:
        """Write no further batch."""
        with self._changed:
            self.is_closed = True
            self._changed.notify()

    def put(self, drafts: Sequence[Draft]) -> None:
        """Let all of them wait, or none."""
        if len(drafts) > self.most_waiting:
            raise InputError(
                f"The request asks for {len(drafts)} texts, and {self.most_waiting} may wait at once. Ask for fewer (n, prompts)."
            )
        with self._changed:
            if len(self._drafts) + len(drafts) > self.most_waiting:
                raise QueueFull
            self._drafts.extend(drafts)
            self._changed.notify()

    def _write(self) -> None:
        while batch := self._next():
            try:
                write_drafts(self.model, batch)
            except InputError as error:
                _fail(batch, error)
            except Exception:
                _log.exception("A batch of %d texts failed.", len(batch))
                _fail(batch, Broken())

    def _next(self) -> list[Draft]:
        """The first that waits and those behind it that fit beside it; none when the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._drafts or self.is_closed)
            if self.is_closed:
                return []
            batch, left = [self._drafts.popleft()], deque()
            for draft in self._drafts:
                fits = len(batch) < self.most_at_once and fit_together(self.model, [*batch, draft])
                (batch if fits else left).append(draft)
            self._drafts = left
            return batch


def _fail(batch: Sequence[Draft], error: InputError | Broken) -> None:
    """Tell those that have not ended; the others have their answer."""
    for draft in batch:
        draft.ended(error)
