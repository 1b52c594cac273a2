"""What steering each layer does to other concepts, beside what it gains of its own."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.measuring.useful import USEFUL

from .drawing.panels import Place, key, panels, zero_lines
from .drawing.saved import model_of, saved
from .drawing.style import shades

NAME = "side_effects"
ORDER = 45
OWN = "the concept that is steered"


def numbers(study: Study) -> pd.DataFrame | None:
    """A row for each layer and concept: how far preference moves, the mean size over both directions (nats)."""
    table = saved(study, "side_effects_by_layer")
    if table is None:
        return None
    table = table.assign(value=table.preference_change.abs(), unit="nats")
    about = ["layer", "place", "measured_on", "useful_gain", "unit", "n_pairs"]
    return pd.DataFrame(table.groupby(about, sort=False, as_index=False)[["value"]].mean())


def draw(study: Study, ax: Place = None) -> Figure | None:
    """One panel: a line for the concept that is steered and one for each other."""
    table = numbers(study)
    if table is None:
        return None
    looks = shades([OWN, *table.measured_on])
    with panels(ax, height=2.4) as shown:
        (panel,) = shown.axes
        own = table.drop_duplicates("layer")
        panel.plot(own.layer, own.useful_gain, color=looks[OWN].colour, marker=looks[OWN].marker)
        for name, rows in table.groupby("measured_on", sort=False):
            look = looks[name]
            panel.plot(rows.layer, rows.value, color=look.colour, marker=look.marker, linestyle=look.line)
        layers = sorted(own.layer)
        panel.set_xticks(layers[:: int(np.ceil(len(layers) / 12))])
        panel.set_xlabel(f"layer steered, at {own.place.iloc[0]}")
        panel.set_ylabel("preference moved (nats)")
        zero_lines(panel, x=False, y=True)
        shown.legend([key(name, look, linestyle=look.line) for name, look in looks.items()])
        shown.caption(
            f"DiffMean vectors of {model_of(study)} where {USEFUL:g} nats of utility are lost, mean size over both directions, "
            f"on pairs of {study.summary['pairs']['learning']['name']}, and on {table.n_pairs.max()} pairs of each other concept."
        )
    return shown.figure
