"""Order: which method gains most, by ours and by the paper's numbers."""

from collections.abc import Mapping

import numpy as np

from mechsteer.families import form_title

from .found import Cell, Found, table
from .methods import BUDGET, gains

NAME = "order"
TITLE = "The order of methods"
ORDER = 32

# ArXiv 2602.02343, Gemma-2-9B-it, as notes on the paper give them (zhaoyang97/Paper-Notes); what these lack is not here.
PAPER: dict[str, dict[str, dict[str, float]]] = {
    "Psychopathy, accuracy": {
        "vector": {"DiffMean": 53, "SFT": 97, "SPLIT": 99},
        "lora": {"SFT": 100, "RePS": 99, "SPLIT": 100},
        "local_weight": {"SFT": 100, "RePS": 100, "SPLIT": 100},
    },
    "PowerSeeking, 0 to 4": {
        "vector": {"DiffMean": 2.95, "SFT": 3.30, "SPLIT": 3.62},
        "lora": {"SFT": 3.41, "RePS": 3.44, "SPLIT": 3.56},
        "local_weight": {"SFT": 3.50, "RePS": 3.39, "SPLIT": 3.59},
    },
    "AxBench, harmonic mean": {
        "vector": {"DiffMean": 1.0550, "SPLIT": 1.6475},
        "lora": {"SFT": 1.5188, "RePS": 1.6525, "SPLIT": 1.6412},
        "local_weight": {"SFT": 1.4538, "RePS": 1.6362, "SPLIT": 1.6225},
    },
}
OWN = {"psychopathy": "Psychopathy, accuracy", "power-seeking": "PowerSeeking, 0 to 4"}
"""The column of the paper's table that is of the same data, by what the pairs' name holds."""
OTHERWISE = "AxBench, harmonic mean"
ABOUT = (
    "Methods by the preference they gain, the most first: at m = 1, as the paper steers, and where "
    f"{BUDGET:g} nats of utility are lost. These are orders of estimates; their intervals are under Methods. The paper's order "
    "is of accuracy or of what a judge says of texts, on Gemma-2-9B-it at m = 1; beside pairs that it does not have, AxBench's "
    "stands. Its values are taken from notes on the paper, which lack some rows."
)


def write(found: Found) -> str:
    """A row for each cell and form that has two methods or more."""
    return f"{table([row for cell in found.cells for row in _of_cell(cell)])}\n\n{ABOUT}"


def _of_cell(cell: Cell) -> list[dict[str, str]]:
    by_form: dict[str, dict[str, tuple[float, float]]] = {}
    for key, row, gained_at_one, _ in gains(cell):
        by_form.setdefault(key.form, {})[key.method] = (gained_at_one, row["gained"])
    name = next((column for part, column in OWN.items() if part in cell.concept), OTHERWISE)
    return [
        cell.place | {
            "form": form_title(form), "at m = 1": in_order({method: both[0] for method, both in gained.items()}),
            "at equal loss": in_order({method: both[1] for method, both in gained.items()}),
            "the paper's": f"{said} ({name})" if (said := in_order(PAPER[name].get(form, {}), among=gained)) != "–" else "–",
        }
        for form, gained in by_form.items() if len(gained) > 1
    ]  # fmt: skip


def in_order(values: Mapping[str, float], among: Mapping[str, object] | None = None) -> str:
    """Names from the largest value to the smallest, equal ones joined; a dash where fewer than two are known."""
    known = {name: value for name, value in values.items() if np.isfinite(value) and (among is None or name in among)}
    if len(known) < 2:
        return "–"
    names = sorted(known, key=lambda name: -known[name])
    told = names[0]
    for before, name in zip(names, names[1:], strict=False):
        told += f" {'=' if known[before] == known[name] else '>'} {name}"
    return told
