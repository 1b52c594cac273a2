"""Memory above the weights, in a process of its own: `python benchmarks/memory.py W1 mechsteer sweep` prints megabytes."""

import subprocess
import sys
from pathlib import Path

import torch
import typer
from clock import peak_megabytes
from workloads import N_TRAINING_PAIRS, WORKLOADS, Workload

TOOLS = ("plain", "careful", "mechsteer")


def megabytes(workload: Workload, tool: str, task: str, device: str, dtype: str) -> float:
    """What `tool` takes for `task` ("sweep" or "train") above the model and the tokens."""
    command = [sys.executable, str(Path(__file__)), workload.name, tool, task, "--device", device, "--dtype", dtype]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main(workload: str, tool: str, task: str, device: str = "cpu", dtype: str = "float32") -> None:
    """Print the megabytes that a tool takes above its model."""
    chosen = WORKLOADS[workload]
    torch.set_num_threads(chosen.threads or torch.get_num_threads())
    hf, steer = chosen.build(device, getattr(torch, dtype)), chosen.steer()
    pairs = chosen.pairs()[: None if task == "sweep" else N_TRAINING_PAIRS]
    if tool == "mechsteer":
        from ours import Mechsteer

        ours = Mechsteer.open(hf, pairs, chosen.layer)
        work = {
            "sweep": lambda: ours.sweep(steer, chosen.multipliers),
            "train": lambda: ours.train(steer, chosen.learning_rate, n_steps=2),
        }[task]
    else:
        from plain import HuggingFace

        user = HuggingFace(hf, pairs, chosen.layer, careful=tool == "careful")
        draws = [(range(len(pairs)), [1.0] * len(pairs))]
        # One multiplier takes as much as many, and one step: each is a pass of its own.
        work = {
            "sweep": lambda: user.sweep(steer, chosen.multipliers[:1]),
            "train": lambda: user.train(steer, draws, chosen.learning_rate, n_steps=1),
        }[task]
    # The libraries' own start is no part of the work.
    with torch.no_grad():
        hf(torch.tensor([[0, 1]], device=device))
    print(peak_megabytes(work, device))


if __name__ == "__main__":
    typer.run(main)
