"""Progress bars on standard error, shown where a person is watching."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(description: str, total: int, *, done: int = 0, show: bool = True) -> Iterator["Bar"]:
    """A bar that leaves nothing behind; call `bar.advance()` after each of `total` units, `done` of which are over."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not (show and console.is_terminal)) as progress:
        yield Bar(progress, progress.add_task(description, total=total, completed=done))


class Bar:
    """One running bar."""

    def __init__(self, progress: Progress, task: TaskID):
        self._progress, self._task = progress, task

    def advance(self, note: str | None = None) -> None:
        """Count one unit, and show `note` as the description if given."""
        self._progress.update(self._task, advance=1, description=note)
