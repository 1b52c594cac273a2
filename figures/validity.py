"""The log-odds against the exact checker: fitted validity beside valid answers, preference beside the concept's side."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analyses.claims.validity import MARGIN
from analyses.studies.finished import Study
from mechsteer.measuring.sweeps import Sweep
from mechsteer.measuring.useful import USEFUL
from mechsteer.statistics.intervals import wilson_interval
from mechsteer.store.keys import Key

from .drawing.panels import Place, key, panels, with_intervals
from .drawing.saved import means, of_steer, steer_of
from .drawing.steer_curves import SHIFT, shift_axis
from .drawing.style import BLACK, QUANTITIES, Look

NAME = "validity"
ORDER = 170
SCOPE = "steer"
RANGES = {
    "useful": (QUANTITIES["utility"].colour, f"$\\leq$ {USEFUL:g} nats lost"),
    "valid": (BLACK, f"$\\leq$ {MARGIN:g} of answers lost"),
}
"""Each with its colour, and words."""


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """A row for each multiplier: shares of answers with Wilson's intervals, preference (nats) with one over pairs; and where the
    useful range and that of valid answers end."""
    table, steer = of_steer(study, "validity-checked", subject), steer_of(study, subject)
    ranges = of_steer(study, "validity-range", subject)
    if table is None or steer is None:
        return None
    sweep = study.sweep_of(steer)
    preference = means(sweep.preference)
    for share in ("valid", "positive"):
        table[[f"{share}_low", f"{share}_high"]] = wilson_interval(table[share].to_numpy(), table.n_answers.to_numpy())
    for end in ("low", "high"):
        table[f"preference_{end}"] = np.interp(table.multiplier, sweep.multipliers, preference[end])
    if ranges is not None:
        table = table.assign(**_ends(ranges, sweep))
    return table.assign(relative_shift=sweep.signed_shift_at(table.multiplier.to_numpy()))


def _ends(ranges: pd.DataFrame, sweep: Sweep) -> dict[str, float]:
    """Each range's ends as relative shifts; where it is open, those of the sweep."""
    found, sides = {}, ranges.set_index("side")
    for name in RANGES:
        ends = np.array([-sides[name]["negative"], sides[name]["positive"]])
        ends = np.where(np.isnan(ends), sweep.multipliers[[0, -1]], ends)
        found |= dict(zip((f"{name}_from", f"{name}_to"), sweep.signed_shift_at(ends).tolist(), strict=True))
    return found


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """Two panels: validity, fitted and true; the concept of the answers against preference."""
    table = numbers(study, subject)
    if table is None:
        return None
    with panels(ax, 2, height=4.6) as shown:
        shown.legend(_draw_validity(shown.axes[0], table))
        _draw_concept(shown.axes[1], table)
        shown.caption(
            f"{table.subject.iloc[0]}.",
            f"Of {table.n_answers.min()} answers at each multiplier, shares by the exact checker with 95 % intervals.",
        )
    return shown.figure


def _draw_validity(ax: Axes, table: pd.DataFrame) -> list[Line2D]:
    truth, look = Look(BLACK, "o"), QUANTITIES["utility"]
    with_intervals(ax, table.relative_shift, _share(table, "valid"), truth, linestyle="-", linewidth=0.6)
    keys = [key("valid answers", truth, linestyle="-", linewidth=0.7)]
    if "validity_fitted" in table:
        ax.plot(table.relative_shift, table.validity_fitted, color=look.colour, marker=look.marker, linestyle=look.line)
        keys.append(key("validity fitted to utility", look, linestyle=look.line))
    for height, (name, (colour, words)) in zip((1.08, 1.16), RANGES.items(), strict=True):
        if f"{name}_from" in table:
            ends = table[[f"{name}_from", f"{name}_to"]].iloc[0]
            ax.plot(ends, [height, height], color=colour, marker="|", markersize=4, linewidth=1.6)
            keys.append(key(words, Look(colour, "|"), linestyle="-", linewidth=1.6))
    shift_axis(ax, table)
    ax.set_xlabel(SHIFT)
    ax.set_ylim(-0.04, 1.22)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.set_ylabel("share of answers, validity")
    return keys


def _draw_concept(ax: Axes, table: pd.DataFrame) -> None:
    look = QUANTITIES["preference"]
    with_intervals(ax, table.preference, _share(table, "positive"), look)
    ax.hlines(table.positive, table.preference_low, table.preference_high, color=look.colour, linewidth=0.7)
    ax.set_ylim(-0.04, 1.04)
    ax.set_xlabel("preference log-odds (nats)")
    ax.set_ylabel(f"share with positive {table.concept.iloc[0]}")


def _share(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return pd.DataFrame({"value": table[name], "low": table[f"{name}_low"], "high": table[f"{name}_high"]})
