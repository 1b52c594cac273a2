"""How good judges are at every multiplier: how much they find of what is there, and how much they know of what is not."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.store.keys import keys_in, rows_of

from .drawing.panels import Place, key, panels, with_intervals, zero_lines
from .drawing.saved import saved
from .drawing.style import shades

NAME = "reliability"
ORDER = 88
LOOKS = shades(("sensitivity", "specificity"))


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each judge, aspect, rate and multiplier, of the study's first steer, with Wilson's intervals."""
    table = saved(study, "reliability")
    if table is None:
        return None
    table = rows_of(table, keys_in(table)[0]).dropna(subset=["multiplier"])
    about = ["judge", "aspect", "multiplier"]
    parts = [
        table[about].assign(quantity=name, value=table[name], low=table[f"{name}_low"], high=table[f"{name}_high"])
        for name in LOOKS
    ]
    return (
        pd.concat(parts, ignore_index=True).assign(steer=str(keys_in(table)[0]), unit="share") if len(table) else None
    )


def draw(study: Study, ax: Place = None) -> Figure | None:
    """A panel for each judge and aspect."""
    table = numbers(study)
    if table is None:
        return None
    groups = list(table.groupby(["judge", "aspect"], sort=False))
    with panels(ax, len(groups), height=0.9 + 1.3 * len(groups), sharex=True) as shown:
        for panel, (_, rows) in zip(shown.axes, groups, strict=True):
            for name, look in LOOKS.items():
                own = rows.loc[rows.quantity == name].dropna(subset=["value"])
                with_intervals(panel, own.multiplier, own, look, linestyle=look.line)
            panel.set_ylim(-0.03, 1.03)
            panel.set_title(f"{rows.judge.iloc[0]}: {rows.aspect.iloc[0]}")
            panel.set_ylabel("share of texts")
            zero_lines(panel)
        shown.over_multipliers(table.multiplier)
        shown.legend([key(name, look, linestyle=look.line) for name, look in LOOKS.items()])
        shown.caption(f"{table.steer.iloc[0]}, by what is known of the same texts, with Wilson's 95 % intervals.")
    return shown.figure
