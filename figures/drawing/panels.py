"""Where a figure is drawn: on a sheet of its own, one column wide, or on axes that the caller has.

Every figure has a number of panels. `ax` is one matplotlib axes for a figure of one panel, and as many axes as it has
panels otherwise (what `plt.subplots` gives); without it, the figure makes its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import fill
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from mechsteer.errors import InputError

from .style import COLUMN, LIGHT, Look, style

Place = Axes | Iterable[Axes] | None


@dataclass(frozen=True, eq=False)
class Panels:
    """The panels of one figure, row by row."""

    figure: Figure
    axes: tuple[Axes, ...]
    is_whole: bool
    """Whether the sheet is the figure's own, with room for a title and a legend outside the panels."""

    def title(self, *lines: str) -> None:
        """What the figure is of; on the caller's axes that is the caller's to say."""
        if self.is_whole:
            self.figure.suptitle("\n".join(fill(line, 64) for line in lines))

    def legend(self, handles: Sequence[Artist], columns: int = 3) -> None:
        """Under the panels; on the caller's axes, in the first of them."""
        labels = [str(handle.get_label()) for handle in handles]
        if self.is_whole:
            self.figure.legend(handles, labels, loc="outside lower center", ncols=columns)
            return
        # A second legend would take the place of one that the panel has.
        if (own := self.axes[0].get_legend()) is not None:
            self.axes[0].add_artist(own)
        self.axes[0].legend(handles, labels)

    def colour_bar(self, colours: ScalarMappable, label: str, **settings) -> None:
        """Beside all panels."""
        self.figure.colorbar(colours, ax=list(self.axes), label=label, **settings).minorticks_off()


@contextmanager
def panels(
    ax: Place, rows: int = 1, columns: int = 1, *, height: float, ratios: Sequence[float] | None = None, **shared
) -> Iterator[Panels]:
    """Draw inside this block; `height` is of the own sheet, in inches, and `ratios` are of its rows."""
    with style():
        if ax is None:
            figure = Figure(figsize=(COLUMN, height), layout="constrained")
            FigureCanvasAgg(figure)
            grid = figure.subplots(rows, columns, squeeze=False, height_ratios=ratios, **shared)
            yield Panels(figure, tuple(grid.ravel()), True)
            return
        axes: tuple[Axes, ...] = tuple(np.ravel(np.array(ax, dtype=object)))
        if len(axes) != rows * columns:
            raise InputError(
                f"This figure has {rows * columns} panels and {len(axes)} axes came. Pass as many, or none for a new figure."
            )
        yield Panels(cast(Figure, axes[0].get_figure(root=True)), axes, False)


def key(label: str, look: Look, *, line: bool = False, **settings) -> Line2D:
    """A legend's entry: a marker, or with `line` a line."""
    shown: dict[str, Any] = {"marker": "" if line else look.marker, "linestyle": look.line if line else ""}
    return Line2D([], [], color=look.colour, label=label, **(shown | settings))


def steer_line(ax: Axes, x, y, look: Look) -> None:
    """One steer among many: thin and see-through, where their lines cross."""
    ax.plot(
        x, y, color=look.colour, marker=look.marker, linestyle=look.line, markersize=2, linewidth=0.8, alpha=0.7
    )  # fmt: skip


def with_intervals(ax: Axes, x, rows: pd.DataFrame, look: Look, **settings) -> None:
    """`value` of each row with a bar from `low` to `high`; not errorbar, for an interval may miss its estimate."""
    x = np.asarray(x, dtype=np.float64)
    shown: dict[str, Any] = {"color": look.colour, "marker": look.marker, "linestyle": ""}
    ax.vlines(x, rows.low, rows.high, color=look.colour, linewidth=0.7)
    ax.plot(x, rows.value, **(shown | settings))


def zero_lines(ax: Axes, *, x: bool = True, y: bool = False) -> None:
    """Where nothing is steered, or nothing has changed."""
    if x:
        ax.axvline(0, color=LIGHT, linewidth=0.8, zorder=0)
    if y:
        ax.axhline(0, color=LIGHT, linewidth=0.8, zorder=0)


def plain_numbers(axis: Axis) -> None:
    """2 and −10 rather than powers of ten."""
    axis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))


def wide_axis(axis: Axis, even_up_to: float, values: ArrayLike, steps: Sequence[float] = (1,)) -> None:
    """For values over decades on both sides of zero: even near zero, by decades beyond, and smooth where these meet.

    Ticks stand at zero and at ±`steps` of every decade that the values reach.
    """
    found = np.asarray(values, dtype=np.float64)
    found = np.append(found[np.isfinite(found)], 0.0)
    plain_numbers(axis)
    if (largest := np.abs(found).max()) < 3 * even_up_to:
        return
    first, last = (np.floor(np.log10(size)) for size in (even_up_to, largest))
    sizes = [step * 10.0**power for power in np.arange(first, last + 1) for step in steps]
    sizes = [size for size in sizes if size >= even_up_to / 2]
    ticks = [tick for tick in (*(-size for size in reversed(sizes)), 0, *sizes) if found.min() <= tick <= found.max()]
    (axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale)("asinh", linear_width=even_up_to)
    axis.set_ticks(ticks)
    plain_numbers(axis)  # a new scale has brought its own
