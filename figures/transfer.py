"""What the learning pairs' curve predicts of the test pairs, against what was measured of them."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.panels import Place, key, panels
from .drawing.saved import claims, means, of_steer, steer_of
from .drawing.style import GREY, QUANTITIES, Look

NAME = "transfer"
ORDER = 160
SCOPE = "steer"

SCORES = {"": "as fitted", ", shape": "in shape"}


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """A row for each quantity and multiplier (nats), and the R² of the claims."""
    table = of_steer(study, "transfer-predictions", subject)
    if table is None:
        return None
    steer = steer_of(study, subject)
    if steer is None:
        return None
    sweep = study.sweep_of(steer)
    parts = []
    for quantity, rows in table.groupby("quantity", sort=False):
        measured = means(getattr(sweep, str(quantity))).assign(multiplier=sweep.multipliers)
        rows = rows.drop(columns="mean").merge(measured, on="multiplier")
        parts.append(rows.assign(kind="point", unit="nats"))
    judged = claims(study)
    for quantity in QUANTITIES:
        for suffix, words in SCORES.items():
            found = judged.loc[
                (judged.claim == "transfer") & (judged.part == f"{quantity}{suffix}") & (judged.key == steer)
            ]
            parts.append(found[["value", "low", "high"]].assign(kind="R²", quantity=quantity, name=words, unit="share"))
    return pd.concat(parts, ignore_index=True).assign(subject=str(steer))


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """Two panels, preference and utility; on the line, prediction and measurement agree."""
    table = numbers(study, subject)
    if table is None:
        return None
    with panels(ax, 2, height=4.6) as shown:
        for panel, quantity in zip(shown.axes, QUANTITIES, strict=True):
            _draw_quantity(panel, table.loc[table["quantity"] == quantity], quantity)
        shown.legend(
            [
                key("$m \\geq 0$", Look(GREY, "o"), linestyle="-", linewidth=0.7),
                key("$m < 0$", Look(GREY, "o"), fillstyle="none", linestyle="-", linewidth=0.7),
                key("as predicted", Look(GREY, "", ":"), line=True),
            ]
        )
        scores = table.loc[(table.kind == "R²") & table.value.notna()].itertuples(index=False)
        told = [f"{row.quantity} {row.name} {row.value:.3f} [{row.low:.3f}, {row.high:.3f}]" for row in scores]
        r_squared = f"R²: {', '.join(told)}." if told else ""
        shown.caption(f"{table.subject.iloc[0]}, means of pairs with 95 % intervals.", r_squared)
    return shown.figure


def _draw_quantity(ax: Axes, table: pd.DataFrame, quantity: str) -> None:
    points, look = table.loc[table.kind == "point"], QUANTITIES[quantity]
    ax.set_xlabel(f"predicted {quantity} (nats)")
    ax.set_ylabel(f"measured {quantity} (nats)")
    if points.empty:
        # Where the learning pairs have no curve.
        ax.annotate("nothing to predict by", (0.5, 0.5), xycoords="axes fraction", ha="center", color=GREY)
        ax.set(xticks=[], yticks=[])
        return
    ends = [points[["predicted", "value"]].min().min(), points[["predicted", "value"]].max().max()]
    ax.plot(ends, ends, color=GREY, linestyle=":")
    ax.vlines(points.predicted, points.low, points.high, color=look.colour, linewidth=0.7)
    for sign, fill in ((points.multiplier >= 0, "full"), (points.multiplier < 0, "none")):
        ax.plot(
            points.predicted[sign],
            points.value[sign],
            look.marker,
            color=look.colour,
            fillstyle=fill,
            markeredgewidth=0.6,
        )
