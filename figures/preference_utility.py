"""Preference and utility against the relative shift, all forms overlaid: what was measured, the paper's curves, held-out points.

As figure 2 of arXiv 2602.02343, with intervals, and with an axis that the forms share in place of m.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.families import form_title
from mechsteer.measuring.sweeps import Sweep

from .drawing.panels import Place, key, panels
from .drawing.steer_curves import SHIFT, curve_keys, curve_table, draw_curve, shift_axis, useful_shift
from .drawing.style import GREY, QUANTITIES, Look, form_looks

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
    looks = form_looks(table["form"])
    useful = useful_shift(study, overlaid(study.sweeps))
    with panels(ax, 2, height=4.2, sharex=True) as shown:
        for panel, quantity in zip(shown.axes, QUANTITIES, strict=True):
            for form, look in looks.items():
                draw_curve(panel, table.loc[(table["quantity"] == quantity) & (table.form == form)], look, size=2.2)
            panel.set_ylabel(f"{quantity} log-odds (nats)")
            shift_axis(panel, table, useful)
        shown.x_label(SHIFT)
        forms = [key(form_title(form), look, linestyle=look.line) for form, look in looks.items()]
        shown.legend([*forms, curve_keys(Look(GREY, ""), "")[-1]])
        shown.caption(
            f"{table.method.iloc[0]} on {Path(study.summary['model']['name']).name} at {table.site.iloc[0]}, "
            f"{table.n_pairs.iloc[0]} pairs of {study.summary['pairs']['testing']['name']}.",
            "Points are means of pairs with 95 % intervals, lines the paper's curves, and dashes their predictions of "
            "held-out multipliers.",
            *(_scores(rows, quantity) for quantity, rows in table.groupby("quantity", sort=False)),
        )
    return shown.figure


def _scores(table: pd.DataFrame, quantity: object) -> str:
    forms = table.groupby("form", sort=False)
    scores = forms.held_out_r_squared.first().dropna()
    told = ", ".join(f"{form_title(str(form))} {score:.3f}" for form, score in scores.items())
    without = ", ".join(form_title(str(form)) for form, rows in forms if "fit" not in set(rows["kind"]))
    return " ".join(
        [f"R² of {quantity} at held-out multipliers, both ends of the sweep left out: {told}."] * bool(told)
        + [f"No curve could be fitted to {quantity}: {without}."] * bool(without)
    )
