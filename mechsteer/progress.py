"""Where long work is and how long it will take: bars on standard error for a person, now and then a line for a log."""

import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from .text import visible

LINE_EVERY = 60.0
"""Seconds between two lines of one piece of work where nobody watches, so that short work says nothing there."""

_console = Console(stderr=True, highlight=False)
_open: Progress | None = None


class Bar:
    """One piece of work under way."""

    def __init__(self, description: str, total: int | None, done: int, show: Callable[["Bar"], None]):
        self.description, self.total, self.done, self._show = visible(description), total, done, show
        self.left: float | None = None
        """Seconds, of somebody who knows better than by how long the units so far took."""

    @classmethod
    def hidden(cls) -> "Bar":
        """One that nobody sees."""
        return cls("", None, 0, lambda bar: None)

    def advance(self, note: str | None = None, left: float | None = None) -> None:
        """Count one unit; show `note` as the description, and so many seconds as left, if given."""
        self.done += 1
        self.note(note or self.description, left)

    def note(self, words: str, left: float | None = None) -> None:
        """What is under way, and how many seconds are left, if that is known."""
        self.description, self.left = visible(words), left
        self._show(self)

    def add(self, n: int) -> None:
        """There are so many units more."""
        self.total = n + (self.done if self.total is None else self.total)


@contextmanager
def progress_bar(description: str, total: int | None, *, done: int = 0, show: bool = True) -> Iterator[Bar]:
    """A bar that leaves nothing behind; call `bar.advance()` after each of `total` units, `done` of which are over. How many
    there are may turn out later (`add`).

    A bar inside another one stands below it.
    """
    if not show:
        yield Bar(description, total, done, lambda bar: None)
    elif not _console.is_terminal:
        yield Bar(description, total, done, _lines(done))
    else:
        with _bars() as bars:
            task = bars.add_task(visible(description), total=total, completed=done, until=None)

            def update(bar: Bar) -> None:
                until = None if bar.left is None else time.monotonic() + bar.left
                bars.update(task, completed=bar.done, total=bar.total, description=bar.description, until=until)

            try:
                yield Bar(description, total, done, update)
            finally:
                bars.remove_task(task)


def say_nothing() -> None:
    """From now on; for a process whose parent tells what it does."""
    global _console
    _console = Console(quiet=True)


def say(line: str, *, indent: int = 0) -> None:
    """A line on standard error, above the bars; a terminal wraps it at words, `indent` columns in."""
    line = visible(line)
    if _console.is_terminal:
        line = textwrap.fill(line, _console.width, subsequent_indent=" " * indent, break_long_words=False)
    _console.print(line, markup=False, soft_wrap=True)


def _lines(done_before: int) -> Callable[[Bar], None]:
    began = told = time.monotonic()

    def show(bar: Bar) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= LINE_EVERY:
            told = now
            gone = now - began
            if bar.total is None:
                say(f"{bar.description}: {bar.done} done, {_clock(gone)} gone")
                return
            left = gone / max(bar.done - done_before, 1) * (bar.total - bar.done) if bar.left is None else bar.left
            say(f"{bar.description}: {bar.done} of {bar.total}, {_clock(gone)} gone, about {_clock(left)} left")

    return show


class _Left(TimeRemainingColumn):
    """By when the work says that it is done, if it does; how long it has gone on while nobody knows how much there is."""

    def render(self, task: Task) -> Text:
        if (until := task.fields["until"]) is not None:
            found = Text(_clock(max(0.0, until - time.monotonic())), "progress.remaining")
        elif task.total is None:
            return Text(f"{_clock(task.elapsed or 0.0)} gone", "progress.elapsed")
        else:
            found = super().render(task)
        return found.append(" left") if found else found


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
        _Left(),
    )
    with Progress(*columns, console=_console, transient=True, expand=True) as _open:
        try:
            yield _open
        finally:
            _open = None


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
