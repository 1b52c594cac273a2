"""Words and tables for three readers: a person at a terminal, a file, and, as JSON, a program."""

import io
import json
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..text import visible, visible_json

if TYPE_CHECKING:
    import pandas as pd
    import rich.table
    from rich.console import Console

STYLES = {"supported": "green", "refuted": "red", "inconclusive": "yellow"}
"""Of cells that say how a claim came out."""
ENDED = {"worked": "green", "failed": "red", "cannot tell": "yellow"}
"""Of a box that says how a study ended."""
WIDEST = 100
"""Columns of a box: longer lines are hard to read."""
_NUMBER = re.compile(r"([-+]?\d[\d.e+-]*( \[.*\])?|-|)")


Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of words; where they come in sections, each has a heading."""

    title: str
    columns: tuple[str, ...]
    sections: Mapping[str, Sequence[Row]]

    @classmethod
    def of(cls, title: str, columns: Sequence[str], rows: Sequence[Row]) -> "Table":
        """A table in one piece."""
        return cls(title, tuple(columns), {"": rows})

    @property
    def visible(self) -> "Table":
        """The same, with control codes spelled out."""

        def said(row: Row) -> Row:
            return tuple(map(visible, row))

        sections = {visible(heading): [said(row) for row in rows] for heading, rows in self.sections.items()}
        return Table(visible(self.title), said(self.columns), sections)


@dataclass(frozen=True)
class Box:
    """How a study ended, and labelled sentences that say why."""

    ended: str
    headline: str
    rows: Sequence[tuple[str, str]]

    @property
    def visible(self) -> "Box":
        """The same, with control codes spelled out."""
        return Box(self.ended, visible(self.headline), [(visible(label), visible(words)) for label, words in self.rows])


Block = str | Table | Box


def echo(*blocks: Block) -> None:
    """Print: a terminal wraps at words and colours, anything else gets whole lines and columns aligned by spaces.

    Words and numbers may come from data, so nothing in them is markup, and control codes are spelled out.
    """
    from rich.console import Console

    if sys.stdout.isatty():
        console = Console(highlight=False)
        for block in blocks:
            _print(console, block)
        return
    page = io.StringIO()
    # Wider than any line; a terminal's width and colours are forced in some environments.
    console = Console(file=page, width=100_000, color_system=None, force_terminal=False, highlight=False)
    for block in blocks:
        _print(console, block)
    print(*(line.rstrip() for line in page.getvalue().splitlines()), sep="\n")


def echo_json(content: dict[str, Any]) -> None:
    """Print one JSON document."""
    print(visible_json(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)))


def number(value: float | None, digits: int = 3) -> str:
    """So many significant digits, and no exponent for what is easily read without one; what rounding leaves is nothing."""
    if value is None:
        return "-"
    if abs(value) < 1e-12:
        return "0"
    return f"{value:.0f}" if 10**digits <= abs(value) < 10**6 else f"{value:.{digits}g}"


def estimate(row: dict[str, Any], key: str = "estimate", digits: int = 3) -> str:
    """An estimate with its interval; what is undefined is a dash."""
    if row[key] is None and row["low"] is None and row["high"] is None:
        return "-"
    return f"{number(row[key], digits)} [{number(row['low'], digits)}, {number(row['high'], digits)}]"


def records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """A table's rows, ready for JSON."""
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def _print(console: "Console", block: Block) -> None:
    from rich.text import Text

    if isinstance(block, str):
        console.print(visible(block), markup=False)
        return
    block = block.visible
    if isinstance(block, Box):
        _print_box(console, block)
        return
    if block.title:
        console.print(Text(block.title, style="bold"))
    if not any(block.sections):
        console.print(_drawn(console, block, block.sections[""], header=True))
    else:
        console.print(_drawn(console, block, (), header=True))
        for heading, rows in block.sections.items():
            console.print(Text(f"\n{heading}", style="bold cyan"))
            console.print(_drawn(console, block, rows, header=False))
    console.print()


def _print_box(console: "Console", block: Box) -> None:
    """With lines around it where a person looks, and at a terminal's width."""
    import rich.table
    from rich.panel import Panel
    from rich.text import Text

    style = ENDED[block.ended]
    title = Text(block.headline, style=f"bold {style}")
    table = rich.table.Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, words in block.rows:
        table.add_row(label, Text(words))
    if console.is_terminal:
        console.print(
            Panel(table, title=title, title_align="left", border_style=style, width=min(console.width, WIDEST))
        )
    else:
        console.print(title)
        console.print(table)
        console.print()


def _drawn(console: "Console", block: Table, rows: Sequence[Row], *, header: bool) -> "rich.table.Table":
    """Some rows of a table, in columns that fit all of them."""
    import rich.table
    from rich.cells import cell_len
    from rich.text import Text

    table = rich.table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=header and any(block.columns))
    everything = [row for section in block.sections.values() for row in section]
    for index, name in enumerate(block.columns):
        cells = [row[index] for row in everything]
        is_number = all(_NUMBER.fullmatch(cell) for cell in cells)
        if console.is_terminal:
            name = textwrap.fill(name, max(map(len, [*cells, *name.split(), " "])), break_long_words=False)
        # Sections are aligned with each other; the last column takes what is left.
        is_fixed = any(block.sections) and index < len(block.columns) - 1
        table.add_column(
            Text(name, style="dim"),
            justify="right" if is_number else "left",
            # A word or a number that is cut in two can no longer be read.
            no_wrap=is_number or not any(" " in cell for cell in cells),
            overflow="fold",
            min_width=max(map(cell_len, [*name.splitlines(), *cells])) if is_fixed else None,
        )
    for row in rows:
        words = row if console.is_terminal else [cell.replace("\n", " ") for cell in row]
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in words))
    return table
