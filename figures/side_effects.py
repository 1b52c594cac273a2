"""What steering each layer does to other concepts, beside what it gains of its own."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analyses.studies.finished import Study
from mechsteer.measuring.useful import USEFUL

from .drawing.panels import Place, key, panels
from .drawing.saved import saved
from .drawing.style import BLACK, SPARE, Look

NAME = "side_effects"
ORDER = 45


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
    with panels(ax, height=1.9) as shown:
        (panel,) = shown.axes
        own = table.drop_duplicates("layer")
        looks = {"the concept that is steered": Look(BLACK, "o")}
        panel.plot(own.layer, own.useful_gain, color=BLACK, marker="o")
        for index, (name, rows) in enumerate(table.groupby("measured_on", sort=False)):
            look = SPARE[index % len(SPARE)]
            looks[str(name)] = look
            panel.plot(rows.layer, rows.value, color=look.colour, marker=look.marker, linestyle=look.line)
        layers = sorted(own.layer)
        panel.set_xticks(layers[:: int(np.ceil(len(layers) / 12))])
        panel.set_xlabel(f"layer steered, at {own.place.iloc[0]}")
        panel.set_ylabel("preference moved (nats)")
        panel.set_ylim(bottom=0)
        shown.legend([key(name, look, linestyle=look.line) for name, look in looks.items()], columns=2)
        shown.title(f"where {USEFUL:g} nats of utility are lost: DiffMean on its own concept and on others")
    return shown.figure
