"""How many threads a model is worth: on tiny models the threads wait for each other longer than they compute."""

import os

import torch

from .models import Model

SMALL = 20_000_000
"""Parameters below which one thread is faster (two cores, float32: a sweep of a model of 1M took 4.9 s on two threads
against 4.0 s on one)."""


def use_threads_for(model: Model) -> None:
    """Let PyTorch use one thread for a small model on the CPU, unless OMP_NUM_THREADS says otherwise."""
    on_cpu = model.device.type == "cpu"
    if on_cpu and "OMP_NUM_THREADS" not in os.environ and sum(p.numel() for p in model.hf.parameters()) < SMALL:
        torch.set_num_threads(1)
