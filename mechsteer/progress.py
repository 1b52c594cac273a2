"""Where long work is and how long it will take: bars on standard error for a person, now and then a line for a log."""

import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from .text import visible

LINE_EVERY = 60.0
"""Seconds between two lines of one piece of work where nobody watches, so that short work says nothing there."""

_console = Console(stderr=True, highlight=False)
_open: Progress | None = None

Show = Callable[[str, int], None]
"""Shows a description and how many units are done."""


class Bar:
    """One piece of work under way."""

    def __init__(self, description: str, done: int, show: Show):
        self._description, self._done, self._show = visible(description), done, show

    def advance(self, note: str | None = None) -> None:
        """Count one unit, and show `note` as the description if given."""
        self._done += 1
        self._description = visible(note or self._description)
        self._show(self._description, self._done)


@contextmanager
def progress_bar(description: str, total: int, *, done: int = 0, show: bool = True) -> Iterator[Bar]:
    """A bar that leaves nothing behind; call `bar.advance()` after each of `total` units, `done` of which are over.

    A bar inside another one stands below it.
    """
    if not show:
        yield Bar(description, done, lambda description, done: None)
    elif not _console.is_terminal:
        yield Bar(description, done, _lines(total, done))
    else:
        with _bars() as bars:
            task = bars.add_task(visible(description), total=total, completed=done)
            try:
                yield Bar(description, done, lambda words, n: bars.update(task, completed=n, description=words))
            finally:
                bars.remove_task(task)


def say(line: str, *, indent: int = 0) -> None:
    """A line on standard error, above the bars; a terminal wraps it at words, `indent` columns in."""
    line = visible(line)
    if _console.is_terminal:
        line = textwrap.fill(line, _console.width, subsequent_indent=" " * indent, break_long_words=False)
    _console.print(line, markup=False, soft_wrap=True)


def _lines(total: int, done_before: int) -> Show:
    began = told = time.monotonic()

    def show(description: str, done: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= LINE_EVERY:
            told = now
            gone = now - began
            left = gone / (done - done_before) * (total - done)
            say(f"{description}: {done} of {total}, {_clock(gone)} gone, about {_clock(left)} left")

    return show


@contextmanager
def _bars() -> Iterator[Progress]:
    """The bars that are shown now, or new ones: a terminal has one place for them."""
    global _open
    if _open is not None:
        yield _open
        return
    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=_console, transient=True, expand=True) as _open:
        try:
            yield _open
        finally:
            _open = None


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
