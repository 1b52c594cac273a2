"""This checkout against another one, in turns: `python benchmarks/against.py ../other` prints how fast each row has become.

Both run the same workloads in processes of their own, which answer one after the other, so that neither has the machine for
itself while it is fast or slow.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parents[1]
ROWS = ("sweep", "completions", "step", "vector", "lora", "local_weight")
N_STEPS = 6


def rows_of(root: Path, name: str) -> dict[str, Callable[[], object]]:
    """What a row measures, by the code of a checkout."""
    sys.path[:0] = [str(root), str(root / "benchmarks")]
    import torch
    from ours import Mechsteer, as_text  # pyright: ignore
    from workloads import N_TRAINING_PAIRS, WORKLOADS  # pyright: ignore

    workload = WORKLOADS[name]
    torch.set_num_threads(workload.threads or torch.get_num_threads())
    pairs, grid = workload.pairs(), workload.multipliers
    ours = Mechsteer.open(workload.build("cpu", torch.float32), pairs, workload.layer)
    few, taught = (Mechsteer(ours.model, as_text(pairs[:n]), ours.site) for n in (8, N_TRAINING_PAIRS))
    forms = {form: lambda form=form: few.sweep(workload.steer(form), grid) for form in ROWS[3:]}
    return {
        "sweep": lambda: ours.sweep(workload.steer(), grid),
        "completions": lambda: ours.sweep(workload.steer(), grid, "completion"),
        "step": lambda: taught.train(workload.steer(), workload.learning_rate, N_STEPS),
        **forms,
    }


def answer(root: Path, name: str) -> None:
    """Time a row for each line that names one."""
    from time import perf_counter

    rows = rows_of(root, name)
    for line in sys.stdin:
        began = perf_counter()
        rows[line.strip()]()
        print(json.dumps(perf_counter() - began), flush=True)


def main(
    other: Annotated[Path, typer.Argument(help="The other checkout.")],
    workloads: Annotated[str, typer.Option(help="With commas.")] = "W1,W2,W3",
    repeats: int = 5,
    serve: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """A ratio over one says that this checkout is faster."""
    if serve:
        answer(other, workloads)
        return
    print(
        f"| workload | row | {other.name}, s | here, s | {other.name} / here, by repeat | median |\n|---|---|---:|---:|---:|---:|"
    )
    for name in workloads.split(","):
        workers = {root: _worker(root, name) for root in (other.resolve(), ROOT)}
        for row in ROWS:
            for worker in workers.values():
                _time(worker, row)
            times: dict[Path, list[float]] = {root: [] for root in workers}
            for repeat in range(repeats):
                for root in list(workers)[:: 1 if repeat % 2 else -1]:
                    times[root].append(_time(workers[root], row))
            theirs, here = times.values()
            ratios = [one / two for one, two in zip(theirs, here, strict=True)]
            shown = " ".join(f"{ratio:.2f}" for ratio in ratios)
            print(
                f"| {name} | {row} | {statistics.median(theirs):.3g} | {statistics.median(here):.3g} | {shown} | "
                f"{statistics.median(ratios):.2f} |", flush=True,
            )  # fmt: skip
        for worker in workers.values():
            worker.terminate()


def _worker(root: Path, name: str) -> subprocess.Popen:
    command = [sys.executable, __file__, str(root), "--workloads", name, "--serve"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(
        command, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _time(worker: subprocess.Popen, row: str) -> float:
    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(f"{row}\n")
    worker.stdin.flush()
    return float(json.loads(worker.stdout.readline()))


if __name__ == "__main__":
    typer.run(main)
