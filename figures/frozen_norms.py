"""Norms as they are and with denominators frozen: preference and utility over the useful range by log-odds."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.panels import Place, key, panels, wide_axis, zero_lines
from .drawing.saved import of_steer
from .drawing.style import GREY, LIGHT, QUANTITIES, Look

NAME = "frozen_norms"
ORDER = 88
SCOPE = "steer"
FROZEN = Look(GREY, "D", ":")


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """A row for each quantity and multiplier: its change since m = 0 (nats), and the interval of what freezing changes."""
    table = of_steer(study, "frozen_norms-curve", subject)
    if table is None:
        return None
    unsteered = table.loc[table.share == 0].set_index("quantity").real.reindex(table["quantity"]).to_numpy()
    table = table.assign(real=table.real - unsteered, frozen=table.frozen - unsteered)
    return table.rename(columns={"real": "value"}).assign(unit="nats")


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """Two panels; the useful range is shaded."""
    table = numbers(study, subject)
    if table is None:
        return None
    with panels(ax, 2, height=3.8, sharex=True) as shown:
        for panel, (name, look) in zip(shown.axes, QUANTITIES.items(), strict=True):
            rows = table.loc[table.quantity == name].sort_values("share")
            panel.axvspan(-1, 1, color=LIGHT, alpha=0.35, zorder=0, linewidth=0)
            panel.plot(rows.share, rows.value, color=look.colour, marker=look.marker, linestyle=look.line)
            panel.plot(rows.share, rows.frozen, color=FROZEN.colour, marker=FROZEN.marker, linestyle=FROZEN.line)
            panel.vlines(
                rows.share,
                rows.value + rows.change_low,
                rows.value + rows.change_high,
                color=FROZEN.colour,
                linewidth=0.7,
            )
            if name == "utility":
                # Preference is even everywhere: whether it is straight is what one looks for.
                ends = [rows.value + rows[end] for end in ("change_low", "change_high")]
                wide_axis(panel.yaxis, 1.0, [rows.value, rows.frozen, *ends])
            panel.set_ylabel(f"change of {name} (nats)")
            zero_lines(panel, y=True)
        shown.x_label("multiplier / useful range by log-odds")
        handles = [key(f"{name}, norms as they are", look, linestyle=look.line) for name, look in QUANTITIES.items()]
        shown.legend([*handles, key("denominators frozen", FROZEN, linestyle=FROZEN.line)])
        shown.caption(
            f"{table.subject.iloc[0]}.",
            "Dotted: every norm's denominator frozen at m = 0, with 95 % intervals of what that changes.",
            "Grey: the useful range by log-odds.",
        )
    return shown.figure
