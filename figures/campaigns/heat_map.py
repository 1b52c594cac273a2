"""What held where: every claim by model and concept, with the shares of verdicts that are supported, refuted or inconclusive."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analyses.campaigns.campaign import Campaign

from ..drawing.panels import Place, key, panels, row_font
from ..drawing.style import OUTCOMES, Look
from . import short

NAME = "heat_map"
ORDER = 10

ROW, HEIGHT, LETTER = 0.14, 1.9, 0.05
"""Inches of a row, besides the rows at least, and of a letter of the columns' names, which stand upright."""
PLACE = ["model", "concept", "condition"]


def numbers(campaign: Campaign) -> pd.DataFrame | None:
    """How many verdicts of each outcome, by model, concept and condition, and claim, with the plan's hash; checks of the software
    are left out."""
    claims = campaign.claims
    claims = claims.loc[~claims["is_check"]]
    if claims.empty:
        return None
    counts = claims[[*PLACE, "name"]].assign(**{name: (claims.outcome == name).astype(int) for name in OUTCOMES})
    return counts.groupby([*PLACE, "name"], sort=False)[list(OUTCOMES)].sum().reset_index().assign(plan=campaign.plan)


def draw(campaign: Campaign, ax: Place = None) -> Figure | None:
    """One panel: models and concepts one way and claims the other, whichever are fewer as columns; in a cell, as wide as its
    share, each outcome."""
    table = numbers(campaign)
    if table is None:
        return None
    places = pd.DataFrame(table.loc[:, PLACE]).drop_duplicates().to_dict("records")
    at_place = {tuple(place.values()): at for at, place in enumerate(places)}
    at_claim = {name: at for at, name in enumerate(dict.fromkeys(table["name"]))}
    lines, columns = _labels(places), list(at_claim)
    if turned := len(lines) < len(columns):
        lines, columns = columns, lines
    besides = max(HEIGHT, LETTER * max(map(len, columns)))
    with panels(ax, height=besides + ROW * len(lines)) as shown:
        panel = shown.axes[0]
        for said in table.to_dict("records"):
            x, y = at_claim[said["name"]], at_place[tuple(said[name] for name in PLACE)]
            x, y = (y, x) if turned else (x, y)
            left, total = x - 0.45, sum(said[outcome] for outcome in OUTCOMES)
            for outcome, look in OUTCOMES.items():
                width = 0.9 * said[outcome] / total
                panel.add_patch(Rectangle((left, y - 0.42), width, 0.84, color=look.colour, linewidth=0))
                left += width
                if said[outcome] == total:
                    panel.plot(x, y, look.marker, color="white", markersize=2.4)
        panel.set_xlim(-0.5, len(columns) - 0.5)
        panel.set_ylim(len(lines) - 0.5, -0.5)
        panel.set_xticks(range(len(columns)), columns, rotation=0 if len(columns) == 1 else 90, fontsize=6.5)
        panel.set_yticks(range(len(lines)), lines, fontsize=row_font(len(lines), besides))
        panel.tick_params(length=0)
        panel.grid(False)
        panel.xaxis.tick_top()
        shown.legend([key(outcome, Look(look.colour, "s")) for outcome, look in OUTCOMES.items()])
        shown.caption("A white mark stands where all steers of a study agree; elsewhere each outcome takes its share.")
    return shown.figure


def _labels(places: list[dict[str, str]]) -> list[str]:
    models, concepts = short(place["model"] for place in places), short(place["concept"] for place in places)
    return [
        ", ".join(part for part in (models[place["model"]], concepts[place["concept"]], place["condition"]) if part)
        for place in places
    ]
