"""What a steer gains beside what chance does: directions with the activations' covariance, and of shuffled labels."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.panels import Place, key, panels, zero_lines
from .drawing.saved import of_steer, steer_of
from .drawing.style import BLACK, GREY, Look

NAME = "control"
ORDER = 85
SCOPE = "steer"

STEER = Look(BLACK, "o")
CHANCE = {"covariance": Look(GREY, "s"), "shuffled labels": Look(GREY, "v")}


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """A row for each kind of chance and shift (nats): the steer's gain, and the mean and prediction interval of chance's."""
    steer = steer_of(study, subject)
    table = None if steer is None else of_steer(study, "control-chance", steer)
    if table is None:
        return None
    columns = ["kind", "budget", "relative_shift", "gained", "error", "mean", "lower", "upper", "n"]
    return table.loc[:, columns].assign(unit="nats", subject=str(steer))


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """One panel: the steer's gain with its interval over pairs, and the prediction intervals of chance beside it."""
    table = numbers(study, subject)
    if table is None:
        return None
    with panels(ax, height=2.6) as shown:
        panel = shown.axes[0]
        own = table.drop_duplicates("budget")
        panel.errorbar(
            own.relative_shift,
            own.gained,
            1.96 * own.error,
            color=STEER.colour,
            marker=STEER.marker,
            linestyle="-",
            capsize=2,
        )
        for offset, (kind, look) in zip((-0.02, 0.02), CHANCE.items(), strict=True):
            rows = table.loc[table.kind == kind]
            if len(rows):
                x = rows.relative_shift * (1 + offset)
                spread = [rows["mean"] - rows.lower, rows.upper - rows["mean"]]
                panel.errorbar(
                    x,
                    rows["mean"],
                    spread,
                    color=look.colour,
                    marker=look.marker,
                    linestyle="none",
                    markersize=3,
                    capsize=3,
                )
        zero_lines(panel, x=False, y=True)
        panel.set_xlabel(r"relative shift $\|\mathrm{shift}\|/\|h\|$")
        panel.set_ylabel("preference gained (nats)")
        n = int(table.n.max())
        shown.legend(
            [key("the steer", STEER, linestyle="-")]
            + [
                key(f"chance, by {kind}", look, linestyle="-")
                for kind, look in CHANCE.items()
                if kind in set(table.kind)
            ]
        )
        shown.caption(
            f"{table.subject.iloc[0]}, with 95 % intervals over pairs.",
            f"Chance is the mean of {n} directions, with a 95 % prediction interval for one more: random ones at the steer's "
            "shift, and those of shuffled labels, drawn beside it, at their own length, which is shorter.",
        )
    return shown.figure
