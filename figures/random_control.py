"""What each steer gains, and how much of it a random direction of equal size gains too."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses.claims.random_control import METHOD, SHARE
from analyses.studies.finished import Study

from .drawing.forest import forest
from .drawing.panels import Place, panels, zero_lines
from .drawing.saved import claims, saved
from .drawing.style import GREY, form_looks, form_title, method_looks

NAME = "random_control"
ORDER = 90


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each method and form: the mean gain over budgets (nats), and the random direction's share of it."""
    frontier, judged = saved(study, "frontier"), claims(study)
    if frontier is None or not (judged.claim == "random_control").any():
        return None
    gained = frontier.loc[frontier.budget.isna()][["method", "form", "gained", "low", "high"]]
    gained = gained.rename(columns={"gained": "value"}).assign(kind="gained", unit="nats")
    shares = judged.loc[judged.claim == "random_control"]
    shares = shares[["method", "form", "sites", "pairs", "value", "low", "high"]]
    return pd.concat([gained, shares.assign(kind="share by chance", unit="share")], ignore_index=True)


def draw(study: Study, ax: Place = None) -> Figure | None:
    """Two panels side by side: gains; shares, with the largest that is allowed."""
    table = numbers(study)
    if table is None:
        return None
    gained, shares = (table.loc[table.kind == kind].reset_index(drop=True) for kind in ("gained", "share by chance"))
    order = gained[["method", "form"]]
    shares = order.merge(shares, on=["method", "form"], how="left")
    labels = [f"{row.method} {form_title(row.form)}" for row in order.itertuples()]
    by_method, by_form = method_looks(order["method"]), form_looks(order["form"])
    looks = [by_method[row.method]._replace(marker=by_form[row.form].marker) for row in order.itertuples()]
    with panels(ax, 1, 2, height=0.9 + 0.17 * len(order), sharey=True) as shown:
        gain, share = shown.axes
        forest(gain, gained, labels, looks)
        forest(share, shares, labels, looks)
        zero_lines(gain)
        share.axvline(SHARE, color=GREY, linestyle=":")
        largest = float(np.nanmax(shares.high.to_numpy(), initial=SHARE))
        share.set_xlim(0, 1.1 * largest)
        gain.set_xlabel("mean gain over budgets\n(nats, 95 %)")
        share.set_xlabel(f"share gained by chance\n(95 %; allowed: {SHARE:g})")
        first = shares.dropna(subset="sites").iloc[0]
        shown.title(f"{first.sites} on {first.pairs}", f"{METHOD}: a direction of equal size")
    return shown.figure
