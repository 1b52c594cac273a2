"""What it saves that the unsteered model's part is kept (`keep_unsteered`), where many steers meet the same pairs.

`python benchmarks/unsteered.py --model MODEL --pairs PAIRS --site SITE` times trials of training and sweeps of random directions
in one process, in turn with the part kept and computed anew, and prints the ratio in Markdown.
"""

import sys
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import torch
import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from clock import interleaved, seconds  # noqa: E402
from tables import head, line  # noqa: E402

import mechsteer as ms  # noqa: E402
from mechsteer.engine.unsteered import N_BYTES, keep_unsteered  # noqa: E402
from mechsteer.models.sites import parse_sites  # noqa: E402


def main(
    model: Annotated[str, typer.Option(help="A hub name, a file, a folder, or guestbook.")] = "guestbook",
    pairs: Annotated[str, typer.Option(help="Pairs to learn from and to measure.")] = "guestbook/sentiment",
    site: Annotated[str, typer.Option(help="Where all steers act.")] = "2:mlp.out",
    n_pairs: Annotated[int, typer.Option(help="So many of the pairs.")] = 20,
    n_steps: Annotated[int, typer.Option(help="Of each trial of SFT.")] = 12,
    n_trials: Annotated[int, typer.Option(help="On the same pairs.")] = 4,
    n_directions: Annotated[int, typer.Option(help="Each swept at six multipliers.")] = 24,
    repeats: Annotated[int, typer.Option(help="Of everything.")] = 3,
) -> None:
    opened = ms.load_model(model)
    ms.use_threads_for(opened)
    (where,) = parse_sites(site)
    some, draw = ms.load_pairs(pairs).sample(n_pairs, seed=0), torch.Generator().manual_seed(0)
    width = where.widths(opened)[1]

    def trials() -> None:
        for seed in range(n_trials):
            settings = ms.TrainSettings(steps=n_steps, seed=seed)
            ms.train(opened, ms.SteeringVector(where, torch.zeros(width)), some, "SFT", settings, progress=False)

    def directions() -> None:
        for vector in torch.randn(n_directions, width, generator=draw):
            grid = np.array([-3, -2, -1, 1, 2, 3]) / float(vector.norm())
            ms.run_sweep(opened, ms.SteeringVector(where, vector), some, grid, progress=False)

    print(head("", "kept", "anew", "anew / kept"))
    for name, work in {
        f"{n_trials} trials of {n_steps} steps": trials,
        f"{n_directions} directions": directions,
    }.items():

        def run(n_bytes: int, work=work) -> float:
            # From nothing: the first steer fills it.
            keep_unsteered(opened, n_bytes)
            return seconds(work, opened.device.type)

        run(0)
        found = interleaved({"kept": lambda: run(N_BYTES), "anew": lambda: run(0)}, repeats)
        ratios = [anew / kept for anew, kept in zip(found["anew"], found["kept"], strict=True)]
        print(
            line(
                f"{Path(opened.name).stem}, {where}, {n_pairs} pairs, {name}",
                *(f"{median(times):.3g} s" for times in (found["kept"], found["anew"])),
                f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            ),
            flush=True,
        )


if __name__ == "__main__":
    typer.run(main)
