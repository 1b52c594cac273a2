"""Where a figure is drawn: on a sheet of its own, or on axes that the caller has.

Every figure has a number of panels. `ax` is one matplotlib axes for a figure of one panel, and as many axes as it has
panels otherwise (what `plt.subplots` gives); without it, the figure makes its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis, YAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import AutoLocator, FixedLocator
from numpy import ndarray
from numpy.typing import ArrayLike

from analyses.studies.widths import COLUMN, inches
from mechsteer.errors import InputError

from .style import GREY, LIGHT, Look, style

Place = Axes | Iterable[Axes] | None

SIDE_BY_SIDE = 1.75
"""Inches of each panel that panels one below the other need to stand side by side."""
LEGEND = 0.6
"""Inches of a sheet's height that a legend and the words of an axis take, about."""
TALLEST = 8.0
"""Inches of a sheet's height at most: of the nine that a page has for text, a caption takes the last."""
ASINH = "Where ticks are not evenly spaced, the scale is linear around zero and logarithmic beyond (asinh)."

_width: ContextVar[float] = ContextVar("width", default=COLUMN)


@contextmanager
def sheets(width: str) -> Iterator[None]:
    """What is drawn in this block on a sheet of its own is of this width (`analyses/studies/widths.py`)."""
    token = _width.set(inches(width))
    try:
        yield
    finally:
        _width.reset(token)


@dataclass(frozen=True, eq=False)
class Panels:
    """The panels of one figure, row by row."""

    figure: Figure
    axes: tuple[Axes, ...]
    is_whole: bool
    """Whether the sheet is the figure's own, with room for a legend outside the panels."""

    def caption(self, *sentences: str) -> None:
        """What the figure says below itself, besides its idea: panels are (a), (b), ... It becomes the figure's label."""
        if self.is_whole:
            self.figure.set_label(" ".join(filter(None, sentences)))

    def x_label(self, words: str, *, each: bool = False) -> None:
        """Of the axis that panels share: under each panel that has no other below it, in two lines where one is too wide; under
        `each` where it goes further in one than in another."""
        if not self.is_whole:
            for panel in self.axes if each else self.axes[-1:]:
                panel.set_xlabel(words)
            return
        renderer = cast(FigureCanvasAgg, self.figure.canvas).get_renderer()
        for panel in self.axes:
            place = panel.get_subplotspec()
            if each or place is None or place.is_last_row():
                label = panel.xaxis.label
                label.set_text(words)
                columns = 1 if place is None else place.get_gridspec().ncols
                if label.get_window_extent(renderer).width > 0.9 * self.figure.bbox.width / columns:
                    label.set_text(_in_two_lines(words))

    def over_multipliers(self, multipliers: ArrayLike, steps: Sequence[float] = (1, 3)) -> None:
        """The axis that panels share is m: even up to ±1, which is how far the paper steers, and by decades beyond."""
        for panel in self.axes:
            wide_axis(panel.xaxis, 1.0, multipliers, steps)
        self.x_label("multiplier $m$")

    def y_label(self, words: str) -> None:
        """Of the axis that panels share: once, beside them all."""
        if self.is_whole:
            self.figure.supylabel(words, y=0.5 + LEGEND / 2 / self.figure.get_figheight())
        else:
            for panel in self.axes:
                panel.set_ylabel(words)

    def legend(self, handles: Sequence[Artist]) -> None:
        """Under the panels, in as few rows as their width allows; on the caller's axes, in the first of them."""
        labels = [str(handle.get_label()) for handle in handles]
        if not self.is_whole:
            # A second legend would take the place of one that the panel has.
            if (own := self.axes[0].get_legend()) is not None:
                self.axes[0].add_artist(own)
            self.axes[0].legend(handles, labels)
            return
        renderer = cast(FigureCanvasAgg, self.figure.canvas).get_renderer()
        for rows in range(1, len(handles) + 1):
            legend = self.figure.legend(
                handles, labels, loc="outside lower center", ncols=-(-len(handles) // rows), borderaxespad=0.1
            )
            if rows == len(handles) or legend.get_window_extent(renderer).width <= self.figure.bbox.width:
                return
            legend.remove()

    def colour_bar(self, colours: ScalarMappable, label: str, **settings) -> None:
        """Beside all panels."""
        self.figure.colorbar(colours, ax=list(self.axes), label=label, **settings).minorticks_off()


@contextmanager
def panels(
    ax: Place, rows: int = 1, columns: int = 1, *, height: float, ratios: Sequence[float] | None = None,
    stacked: bool = False, **shared,
) -> Iterator[Panels]:  # fmt: skip
    """Draw inside this block; `height` is of the own sheet, in inches, and `ratios` are of its rows.

    Panels one below the other stand side by side where the sheet is wide enough, unless they are `stacked` for good.
    """
    with style():
        if ax is None:
            yield (own := _own(rows, columns, height, ratios, stacked, shared))
            _letter(own.axes)
            _settle(own.figure)
            if any("asinh" in (panel.get_xscale(), panel.get_yscale()) for panel in own.axes):
                own.caption(str(own.figure.get_label()), ASINH)
            return
        axes: tuple[Axes, ...] = tuple(np.ravel(np.array(ax, dtype=object)))
        if len(axes) != rows * columns:
            raise InputError(
                f"This figure has {rows * columns} panels and {len(axes)} axes came. Pass as many, or none for a new figure."
            )
        yield Panels(cast(Figure, axes[0].get_figure(root=True)), axes, False)


def _own(
    rows: int, columns: int, height: float, ratios: Sequence[float] | None, stacked: bool, shared: dict[str, Any]
) -> Panels:
    width, ratios = _width.get(), ratios or [1.0] * rows
    if not stacked and columns == 1 and rows > 1 and width >= SIDE_BY_SIDE * rows:
        height = LEGEND + (height - LEGEND) * max(ratios) / sum(ratios)
        rows, columns, ratios = 1, rows, [1.0]
    figure = Figure(figsize=(width, min(height, TALLEST)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, height_ratios=ratios, **shared)
    return Panels(figure, tuple(grid.ravel()), True)


def _settle(figure: Figure) -> None:
    """Lay out once and keep the ticks: a number more or less would change a panel's room, and that the numbers, without end.

    Words beside panels that stand one below the other are in one line, however wide the numbers are.
    """
    # Of panels that have words there: one without them, but with long names at its ticks, would push those of others away.
    figure.align_ylabels([panel for panel in figure.axes if panel.get_ylabel()])
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    for axis in (axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)):
        if isinstance(axis.get_major_locator(), AutoLocator):
            axis.set_major_locator(FixedLocator(axis.get_majorticklocs().tolist()))


def _in_two_lines(words: str) -> str:
    spaces = [at for at, sign in enumerate(words) if sign == " "]
    middle = min(spaces, key=lambda at: abs(at - len(words) / 2))
    return f"{words[:middle]}\n{words[middle + 1 :]}"


def _letter(axes: Sequence[Axes]) -> None:
    """(a), (b), ... where there are several, before the words at their heads."""
    used = [panel for panel in axes if panel.axison or panel.texts]
    for letter, panel in zip(ascii_lowercase, used if len(used) > 1 else (), strict=False):
        words = panel.get_title()
        panel.set_title("")
        panel.set_title(f"({letter}) {words}".strip(), loc="left")


def key(label: str, look: Look, *, line: bool = False, **settings) -> Line2D:
    """A legend's entry: a marker, or with `line` a line."""
    shown: dict[str, Any] = {"marker": "" if line else look.marker, "linestyle": look.line if line else ""}
    return Line2D([], [], color=look.colour, label=label, **(shown | settings))


def steer_line(ax: Axes, x, y, look: Look, *, fill: str = "full") -> None:
    """One steer among many: thin and see-through, where their lines cross."""
    ax.plot(
        x, y, color=look.colour, marker=look.marker, linestyle=look.line, markersize=2.6, linewidth=0.8, alpha=0.8,
        fillstyle=fill, markeredgewidth=0.6,
    )  # fmt: skip


def side_lines(ax: Axes, rows: pd.DataFrame, x: str, y: str, look: Look) -> None:
    """A steer's two columns against each other, where no axis is the multiplier: both directions begin at zero, and marks are
    open where the steer is subtracted."""
    rows = rows.sort_values("multiplier")
    for side, fill in ((rows[rows.multiplier <= 0], "none"), (rows[rows.multiplier >= 0], "full")):
        steer_line(ax, side[x], side[y], look, fill=fill)


def side_keys() -> list[Line2D]:
    """What the marks of `side_lines` mean."""
    grey = Look(GREY, "o")
    return [key("$m > 0$", grey), key("$m < 0$", grey, fillstyle="none", markeredgewidth=0.6)]


def with_intervals(ax: Axes, x, rows: pd.DataFrame, look: Look, **settings) -> None:
    """`value` of each row with a bar from `low` to `high`; not errorbar, for an interval may miss its estimate."""
    x = np.asarray(x, dtype=np.float64)
    shown: dict[str, Any] = {"color": look.colour, "marker": look.marker, "linestyle": ""}
    ax.vlines(x, rows.low, rows.high, color=look.colour, linewidth=0.7)
    ax.plot(x, rows.value, **(shown | settings))


def row_font(n_rows: int, besides: float) -> float:
    """The size of words that stand in rows, of which a page has to hold so many, and so many inches besides."""
    return min(6.5, 0.85 * 72 * (TALLEST - besides) / n_rows)


def zero_lines(ax: Axes, *, x: bool = True, y: bool = False) -> None:
    """Where nothing is steered, or nothing has changed."""
    if x:
        ax.axvline(0, color=LIGHT, linewidth=0.8, zorder=0)
    if y:
        ax.axhline(0, color=LIGHT, linewidth=0.8, zorder=0)


def plain_numbers(axis: Axis) -> None:
    """2 and −10 rather than powers of ten."""
    axis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))


LEAST_APART = 0.12
"""Of a wide axis, between zero and the first tick beside it."""
FEWEST_TICKS = 4
"""Of a wide axis that stands, where there is room for them: between two numbers alone, nothing on such a scale can be read."""


def wide_axis(axis: Axis, even_up_to: float, values: ArrayLike, steps: Sequence[float] = (1,)) -> None:
    """For values over decades on both sides of zero: even near zero, by decades beyond, and smooth where these meet.

    Ticks stand at zero and at ±`steps` of every decade that the values reach; on an upright axis closer, where those are few.
    """
    found = np.asarray(values, dtype=np.float64)
    found = np.append(found[np.isfinite(found)], 0.0)
    plain_numbers(axis)
    if not 0 < even_up_to < np.abs(found).max() / 3:
        return
    choices = [steps, (1, 3), (1, 2, 5)] if isinstance(axis, YAxis) else [steps]
    every = [_wide_ticks(found, even_up_to, chosen) for chosen in choices]
    ticks = next((some for some in every if len(some) >= FEWEST_TICKS), every[-1])
    (axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale)("asinh", linear_width=even_up_to)
    axis.set_ticks(ticks)
    plain_numbers(axis)  # a new scale has brought its own


def growing_axis(axis: Axis, multipliers: ArrayLike, values: ArrayLike) -> None:
    """A wide axis for what grows with m: even as far as it goes within ±1, or within the first multiplier beyond."""
    size, found = np.abs(np.asarray(multipliers, np.float64)), np.asarray(values, np.float64)
    near = size <= max(1.0, size[size > 0].min(initial=np.inf))
    wide_axis(axis, float(np.nanmax(np.abs(found[near]), initial=0.0)), found)


def _wide_ticks(found: ndarray, even_up_to: float, steps: Sequence[float]) -> list[float]:
    first, last = (np.floor(np.log10(size)) for size in (even_up_to, np.abs(found).max()))
    sizes = [step * 10.0**power for power in np.arange(first, last + 1) for step in steps]
    low, high = np.arcsinh(np.array([found.min(), found.max()]) / even_up_to)
    # Any closer, the first of them would lie on zero's.
    sizes = [size for size in sizes if np.arcsinh(size / even_up_to) > LEAST_APART * (high - low)]
    return [tick for tick in (*(-size for size in reversed(sizes)), 0, *sizes) if found.min() <= tick <= found.max()]
