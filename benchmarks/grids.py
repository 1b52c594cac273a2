"""What a grid of multipliers misses: 21 that `find_multipliers` lays out against 41 even ones, by sweeps that are dense.

`python benchmarks/grids.py STUDY` measures every steer of a finished study of the guestbook at several hundred multipliers within
its useful range, and prints by how much interpolation from each grid errs there (nats, root mean square and largest), and by how
much the gains of the frontier do.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from scipy.interpolate import PchipInterpolator

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tables import head, line  # noqa: E402

import mechsteer as ms  # noqa: E402
from analyses.studies.settings import Settings  # noqa: E402
from analyses.studies.subjects import checked_pairs  # noqa: E402
from mechsteer.measuring.useful import BUDGETS, useful_range  # noqa: E402

N_DENSE, N_PAIRS = 241, 32
GRIDS = {"21 laid out in loss": 21, "41 laid out in loss": 41, "21 even": -21, "41 even": -41}
"""How many; even ones, marked by a minus, span the same range."""


def errors(model: ms.Model, steer: ms.Intervention, learning: ms.Pairs, testing: ms.Pairs) -> Iterator[tuple]:
    """Of each grid: its name, errors of preference and of utility lost in the useful range, and of the frontier's gains."""
    laid_out = {n: ms.find_multipliers(model, steer, learning, n=n) for n in (21, 41)}
    whole = laid_out[41]
    rough = ms.run_sweep(model, steer, testing, whole, progress=False)
    low, high = (1.2 * end for end in useful_range(rough, 1.0))
    dense_grid = np.union1d(np.linspace(max(low, whole[0]), min(high, whole[-1]), N_DENSE), [0.0])
    dense = ms.run_sweep(model, steer, testing, dense_grid, progress=False)
    truth = ms.frontier([dense], n_resamples=1)
    ends = useful_range(dense)
    within = (ends[0] <= dense_grid) & (dense_grid <= ends[1])
    for name, n in GRIDS.items():
        grid = laid_out[n] if n > 0 else np.union1d(np.linspace(whole[0], whole[-1], -n), [0.0])
        sweep = ms.run_sweep(model, steer, testing, grid, progress=False)
        found = []
        for quantity in ("preference", "lost"):
            curve, real = (getattr(some, quantity).mean(axis=1) for some in (sweep, dense))
            missed = (PchipInterpolator(grid, curve)(dense_grid) - real)[within]
            found += [np.sqrt(np.mean(missed**2)), np.abs(missed).max()]
        gains = ms.frontier([sweep], n_resamples=1)
        yield name, *found, np.abs(gains.gained - truth.gained).max(), abs(gains.area - truth.area)


def main(study: Annotated[Path, typer.Argument(help="The folder of a study of guestbook/sentiment.")]) -> None:
    torch.set_num_threads(1)
    model, checked = ms.load_model("guestbook"), checked_pairs(Settings())
    testing = checked.testing.sample(N_PAIRS)
    budgets = ", ".join(f"{budget:g}" for budget in BUDGETS)
    print(head("steer, grid", "preference", "at worst", "loss", "at worst", f"gain at {budgets}, worst", "mean gain"))
    worse = 0
    for path in sorted((study / "interventions").glob("*.safetensors")):
        rows = {row[0]: row[1:] for row in errors(model, ms.load_intervention(path), checked.learning, testing)}
        for name, values in rows.items():
            print(line(f"{path.stem}, {name}", *(f"{value:.3f}" for value in values)), flush=True)
        worse += sum(a > b for a, b in zip(rows["21 laid out in loss"], rows["41 even"], strict=True))
    print(f"\nIn {worse} cells 21 that are laid out err more than 41 even ones.")


if __name__ == "__main__":
    typer.run(main)
