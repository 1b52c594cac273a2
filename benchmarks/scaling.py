"""Time and memory of a sweep as the work grows, one thing at a time: `python benchmarks/scaling.py` draws docs/scaling.png."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import typer
from clock import interleaved, peak_megabytes, seconds
from matplotlib.ticker import LogLocator
from ours import Mechsteer
from tables import head, line
from workloads import Workload, llama

from analyses.studies.widths import COLUMN
from figures.drawing.style import GREY, shades, style

BASE = Workload(
    "scaling",
    lambda: llama(256, 8, 4, 768, 4096),
    layer=3,
    n_pairs=16,
    n_multipliers=8,
    query=(32, 32),
    completion=(16, 16),
)

GROWING: dict[str, tuple[tuple[int, ...], Callable[[int], Workload]]] = {
    "pairs": ((8, 16, 32, 64, 128), lambda n: replace(BASE, n_pairs=n)),
    "multipliers": ((4, 8, 16, 32, 64), lambda n: replace(BASE, n_multipliers=n)),
    "layers": (
        (4, 8, 16, 32),
        lambda n: replace(BASE, config=lambda: llama(256, n, 4, 768, 4096), layer=n // 2 - 1),
    ),
    "query length": ((32, 64, 128, 256, 512), lambda n: replace(BASE, query=(n, n))),
}
LOOKS = shades(GROWING)


@dataclass(frozen=True)
class Growth:
    """Seconds and megabytes above the weights at each size."""

    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    megabytes: tuple[float, ...]


def measure(repeats: int) -> dict[str, Growth]:
    """Everything that grows; all sizes of all of them take turns, and times are medians."""
    sweeps = {(name, size): _sweep_of(of(size)) for name, (sizes, of) in GROWING.items() for size in sizes}
    megabytes = {key: peak_megabytes(sweep) for key, sweep in sweeps.items()}
    times = interleaved(
        {f"{name} {size}": lambda sweep=sweep: seconds(sweep) for (name, size), sweep in sweeps.items()}, repeats
    )
    return {
        name: Growth(
            sizes,
            tuple(statistics.median(times[f"{name} {size}"]) for size in sizes),
            tuple(megabytes[name, size] for size in sizes),
        )
        for name, (sizes, _) in GROWING.items()
    }


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> str:
    """The slope in a log-log plot: 1 where cost grows as size does."""
    # Adding zero turns a negative one into zero.
    return f"{round(float(np.polyfit(np.log(sizes), np.log(costs), 1)[0]), 2) + 0:.2f}"


def _sweep_of(workload: Workload) -> Callable[[], object]:
    """A sweep that has run once, small."""
    mechsteer = Mechsteer.open(workload.build(), workload.pairs(), workload.layer)
    steer = workload.steer()
    replace(mechsteer, pairs=mechsteer.pairs[:1]).sweep(steer, [0.0])
    return lambda: mechsteer.sweep(steer, workload.multipliers)


def draw(growths: dict[str, Growth], path: Path) -> None:
    """Both costs against size; the thin grey line is linear growth."""
    with style():
        figure, axes = plt.subplots(2, 1, figsize=(COLUMN, 4.6), sharex=True, layout="constrained")
        for ax, cost, unit in zip(axes, ("seconds", "megabytes"), ("seconds", "MB above the weights"), strict=True):
            for name, growth in growths.items():
                look, costs = LOOKS[name], getattr(growth, cost)
                ax.plot(
                    np.array(growth.sizes) / growth.sizes[0], costs, color=look.colour, marker=look.marker,
                    linestyle=look.line, label=f"{name}: exponent {exponent(growth.sizes, costs)}",
                )  # fmt: skip
            least = min(min(getattr(growth, cost)) for growth in growths.values())
            ax.plot([1, 16], [least, 16 * least], color=GREY, linewidth=0.8, label="linear growth")
            ax.set(xscale="log", yscale="log", ylabel=unit)
            ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.minorticks_off()
            ax.legend(loc="lower right" if cost == "seconds" else "upper left")
        axes[-1].set_xlabel("size, times the smallest")
        axes[-1].set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
        figure.savefig(path)
    plt.close(figure)


def main(repeats: int = 3, out: Path = Path(__file__).parents[1] / "docs" / "scaling.png") -> None:
    """Print the table of Scaling in benchmarks/README.md, and draw it."""
    growths = measure(repeats)
    print(head("", "sizes", "seconds", "exponent", "MB above the weights", "exponent"))
    for name, growth in growths.items():
        sizes = growth.sizes
        cells = [", ".join(map(str, sizes))]
        for costs in (growth.seconds, growth.megabytes):
            cells += [", ".join(f"{cost:.2g}" for cost in costs), exponent(sizes, costs)]
        print(line(name, *cells), flush=True)
    draw(growths, out)


if __name__ == "__main__":
    torch.set_num_threads(min(2, torch.get_num_threads()))
    typer.run(main)
