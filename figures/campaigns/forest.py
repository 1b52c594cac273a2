"""One claim in every cell, each estimate with its interval, and all of them combined."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses.campaigns.campaign import Campaign
from analyses.campaigns.judging import of_effect
from mechsteer.families import form_title

from ..drawing import forest as drawing
from ..drawing.panels import Place, key, panels, row_font, zero_lines
from ..drawing.style import BLACK, GREY, OUTCOMES, Look
from . import short

NAME = "forest"
ORDER = 20
SCOPE = "claim"

COMBINED, HEAD = "combined", "head"
"""Rows that are no cell's."""
HEIGHT = 0.95
"""Inches besides the rows."""


def numbers(campaign: Campaign, subject: str | None = None) -> pd.DataFrame | None:
    """The claim's estimates, cell by cell under each steer, and then their combination, with the plan's hash; by default of the
    first claim."""
    combined, claims = campaign.combined, campaign.claims
    if combined.empty:
        return None
    parts = []
    models, concepts = short(claims.model), short(claims.concept)
    for row in combined.loc[combined["name"] == (subject or combined["name"].iloc[0])].to_dict("records"):
        own = of_effect(claims, row)
        seeds = own.duplicated(["model", "concept"], keep=False)
        labels = [
            f"{models[model]}, {concepts[concept]}" + f", {cell}" * seed
            for model, concept, cell, seed in zip(own.model, own.concept, own.cell, seeds, strict=True)
        ]
        steer = f"{row['method']} {form_title(row['form'])}".strip() or "the model and its pairs"
        head = (
            steer
            + f" against {row['against']}" * bool(row["against"])
            + f", {row['condition']}" * bool(row["condition"])
        )
        parts += [
            pd.DataFrame([{"label": f"{head} ({row['unit']})", "row": HEAD}]),
            own.assign(label=labels, row="cell")[["label", "row", "cell", "estimate", "low", "high", "outcome"]],
            pd.DataFrame([{
                "label": f"combined over {row['n_groups']} {row['over']}" if row["n_groups"] > 1 else "not combined",
                "row": COMBINED, **{name: row[name] for name in ("estimate", "low", "high")},
            }]) if row["n_groups"] > 1 else pd.DataFrame(),
        ]  # fmt: skip
    table = pd.concat([part for part in parts if len(part)], ignore_index=True).rename(columns={"estimate": "value"})
    return table.assign(name=subject or combined["name"].iloc[0], plan=campaign.plan)


def draw(campaign: Campaign, ax: Place = None, subject: str | None = None) -> Figure | None:
    """One panel, a row for each cell."""
    table = numbers(campaign, subject)
    if table is None:
        return None
    with panels(ax, height=HEIGHT + 0.14 * len(table)) as shown:
        panel = shown.axes[0]
        looks = [
            Look(BLACK, "D") if kind == COMBINED else OUTCOMES.get(str(outcome), Look(GREY, ""))
            for kind, outcome in zip(table.row, table.outcome, strict=True)
        ]
        drawing.forest(panel, table, table.label.tolist(), looks, size=3.2)
        for text, kind in zip(panel.get_yticklabels(), table.row, strict=True):
            text.set(fontsize=row_font(len(table), HEIGHT), fontweight="normal" if kind == "cell" else "bold")
        if np.nanmin(table[["value", "low"]]) <= 0 <= np.nanmax(table[["value", "high"]]):
            zero_lines(panel)
        panel.set_xlabel("estimate")
        shown.caption(f"{table['name'].iloc[0]}, with 95 % intervals.")
        shown.legend([key(outcome, look, linestyle="-") for outcome, look in OUTCOMES.items()])
    return shown.figure
