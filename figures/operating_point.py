"""The operating point by log-odds in judged text: each score there, less that at m = 0 or at the judge's own best multiplier."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.claims.operating_point import PARTS
from analyses.studies.finished import Study
from mechsteer.store.keys import Key

from .drawing.forest import forest
from .drawing.panels import Place, key, panels, zero_lines
from .drawing.saved import claims, of_steer, steer_of
from .drawing.style import BLACK, OUTCOMES, Look

NAME = "operating_point"
ORDER = 88
SCOPE = "steer"
BOUND = Look(BLACK, "|")


def numbers(study: Study, subject: Key | None = None) -> pd.DataFrame | None:
    """A row for each part of the claim: the score at the operating point (`there`) and the `other`, and the difference that is
    claimed, with its interval and the `bound` that it must not fall below."""
    scores = of_steer(study, "operating_point-scores", subject)
    if scores is None:
        return None
    made = claims(study)
    made = made.loc[(made.claim == NAME) & (made.key == steer_of(study, subject))]
    table = scores.merge(made[["part", "value", "low", "high", "outcome"]], on="part")
    bounds = [PARTS[part][0] for part in table.part]
    return None if table.empty else table.assign(bound=bounds, unit="share of the scale")


def draw(study: Study, ax: Place = None, subject: Key | None = None) -> Figure | None:
    """One panel; right of its bound, the operating point holds."""
    table = numbers(study, subject)
    if table is None:
        return None
    against = ["best" if part == "best" else "m = 0" for part in table.part]
    labels = [
        f"{row['aspect']} {row['there']:.2f} ({other}: {row['other']:.2f})"
        for row, other in zip(table.to_dict("records"), against, strict=True)
    ]
    with panels(ax, height=0.9 + 0.22 * len(table)) as shown:
        panel = shown.axes[0]
        forest(panel, table, labels, [OUTCOMES[outcome] for outcome in table.outcome])
        panel.plot(table.bound, range(len(table)), BOUND.marker, color=BOUND.colour, markersize=9, linestyle="")
        zero_lines(panel)
        panel.set_xlabel("difference (share of the scale)")
        found = [name for name in OUTCOMES if name in set(table.outcome)]
        shown.legend([*(key(name, OUTCOMES[name], linestyle="-") for name in found), key("bound of the claim", BOUND)])
        shown.caption(
            f"{table.subject.iloc[0]} at m = {table.multiplier.iloc[0]:.3g}, judged by {table.judge.iloc[0]}, with 95 % "
            "intervals over queries; outcomes are corrected for multiple tests.",
            "The best multiplier is chosen on one half of the queries and scored on the other.",
        )
    return shown.figure
