"""Estimates one under the other, each with its interval."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .style import Look


def forest(
    ax: Axes, rows: pd.DataFrame, labels: Sequence[str], looks: Sequence[Look], *, offset: float = 0.0, size: float = 4
) -> None:
    """`value` with `low` and `high` of each row, the first on top; `offset` sets a second series beside the first.

    An interval that lacks one end is open there, and is drawn beyond all others.
    """
    y = np.arange(len(rows)) + offset
    colours = [look.colour for look in looks]
    found = rows[["low", "value", "high"]]
    least, most = found.min().min(), found.max().max()
    is_interval = rows.low.notna() | rows.high.notna()
    low = rows.low.mask(rows.low.isna() & is_interval, least - (most - least) / 4)
    high = rows.high.mask(rows.high.isna() & is_interval, most + (most - least) / 4)
    ax.hlines(y, low, high, color=colours, linewidth=1.0)
    for height, value, look in zip(y, rows.value, looks, strict=True):
        ax.plot(value, height, look.marker, color=look.colour, markersize=size, markeredgewidth=0.8, clip_on=False)
    ax.set_yticks(np.arange(len(rows)), labels)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
