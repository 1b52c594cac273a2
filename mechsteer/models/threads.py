"""How many threads a model is worth: on tiny models, threads that share a core wait for each other longer than they compute."""

import os

import torch

from .model import Model

SMALL = 20_000_000
"""Parameters below which one thread is safer. A sweep of a model of 1M took 2.9 s on one and 1.7 s on two threads where
both cores were idle, 2.6 and 7.5 s where one was busy (medians of three, float32); OMP_NUM_THREADS=2 asks for two."""


def use_threads_for(model: Model) -> None:
    """Let PyTorch use one thread for a small model on the CPU, unless OMP_NUM_THREADS says otherwise."""
    on_cpu = model.device.type == "cpu"
    if on_cpu and "OMP_NUM_THREADS" not in os.environ and sum(p.numel() for p in model.hf.parameters()) < SMALL:
        torch.set_num_threads(1)
