"""Preference and utility against the relative shift, all forms overlaid: what was measured, the paper's curves, held-out points.

As figure 2 of arXiv 2602.02343, with intervals, and with an axis that the forms share in place of m.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.measuring.sweeps import Sweep

from .drawing.panels import Place, key, panels
from .drawing.steer_curves import curve_keys, curve_table, draw_curve, shift_axis
from .drawing.style import GREY, QUANTITIES, Look, form_looks, form_title

NAME = "preference_utility"
ORDER = 20


def overlaid(sweeps: Sequence[Sweep]) -> list[Sweep]:
    """One sweep of each form, of the method that was studied in most forms, from its first training seed."""
    by_method: dict[str, dict[str, Sweep]] = {}
    for sweep in sweeps:
        by_method.setdefault(sweep.method, {}).setdefault(sweep.form, sweep)
    return list(max(by_method.values(), key=len, default={}).values())


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each form, quantity and point, of the curves too (nats); `held_out_r_squared` is the fit's."""
    tables = [
        curve_table(study, sweep, quantity).assign(
            form=sweep.form,
            method=sweep.method,
            site=sweep.key.sites,
            n_pairs=len(sweep.pairs),
            held_out_r_squared=study.fits[sweep.key][quantity]["score"]["held_out_r_squared"],
        )
        for sweep in overlaid(study.sweeps)
        for quantity in QUANTITIES
    ]
    return pd.concat(tables, ignore_index=True) if tables else None


def draw(study: Study, ax: Place = None) -> Figure | None:
    """Two panels, one below the other, on one axis."""
    table = numbers(study)
    if table is None:
        return None
    with panels(ax, 2, height=4.4, sharex=True) as shown:
        for panel, quantity in zip(shown.axes, QUANTITIES, strict=True):
            _draw_quantity(panel, table.loc[table["quantity"] == quantity])
            panel.set_ylabel(f"{quantity} log-odds (nats)")
            shift_axis(panel, table, label=quantity == "utility")
        shown.legend(curve_keys(Look(GREY, "o"), "the paper's curve"), columns=3)
        shown.title(
            f"{Path(study.summary['model']['name']).name} at {table.site.iloc[0]}, {table.method.iloc[0]}",
            f"{study.summary['pairs']['testing']['name']}, {table.n_pairs.iloc[0]} pairs",
        )
    return shown.figure


def _draw_quantity(ax: Axes, table: pd.DataFrame) -> None:
    keys, looks = [], form_looks(table["form"])
    for form, rows in table.groupby("form", sort=False):
        look, score = looks[str(form)], rows.held_out_r_squared.iloc[0]
        draw_curve(ax, rows, look, size=2.2)
        label = form_title(str(form)) + (f" {score:.3f}" if pd.notna(score) else "")
        keys.append(key(label, look, linestyle=look.line))
    # Where a curve that rises, or one with a peak, leaves room.
    loc = "lower right" if set(table["quantity"]) == {"preference"} else "lower center"
    ax.legend(handles=keys, loc=loc, title="$R^2$ on unseen multipliers", title_fontsize=6.2)
