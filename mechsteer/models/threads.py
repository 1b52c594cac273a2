"""How many threads are worth their while: those that share a core wait for each other longer than they compute."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import torch

from .model import Model

SMALL = 20_000_000
"""Parameters below which one thread is safer. A sweep of a model of 1M took 2.9 s on one and 1.7 s on two threads where
both cores were idle, 2.6 and 7.5 s where one was busy (medians of three, float32); OMP_NUM_THREADS=2 asks for two."""
SHORTEST = 0.2
"""Seconds of which it can be told what the cores did; clocks of processor time tick a hundred times a second."""


def use_threads_for(model: Model) -> None:
    """Let PyTorch use one thread for a small model on the CPU, unless OMP_NUM_THREADS says otherwise."""
    on_cpu = model.device.type == "cpu"
    if on_cpu and "OMP_NUM_THREADS" not in os.environ and sum(p.numel() for p in model.hf.parameters()) < SMALL:
        torch.set_num_threads(1)


@contextmanager
def on_idle_cores() -> Iterator[None]:
    """Inside, PyTorch has no more threads than there are cores that no other process keeps busy; afterwards as many as before.

    Long work asks anew for each of its pieces. Where OMP_NUM_THREADS says how many there shall be, they stay as they are.
    """
    most = torch.get_num_threads()
    if most == 1 or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    torch.set_num_threads(min(most, max(1, round(_CORES.free()))))
    try:
        yield
    finally:
        torch.set_num_threads(most)


@dataclass(frozen=True)
class _Clocks:
    """Seconds: of the wall, of this process on all cores, and of nobody on any of those that it may run on."""

    wall: float
    own: float
    idle: float

    @classmethod
    def now(cls) -> "_Clocks":
        process = psutil.Process()
        times = psutil.cpu_times(percpu=True)
        # Only Linux and Windows know of cores that a process may not have.
        ours = process.cpu_affinity() if hasattr(process, "cpu_affinity") else range(len(times))
        own = process.cpu_times()
        return cls(time.monotonic(), own.user + own.system, sum(times[core].idle for core in ours if core < len(times)))


@dataclass
class _Cores:
    """How many cores this process may have to itself, by what has happened since it was asked last."""

    before: _Clocks = field(default_factory=_Clocks.now)
    found: float = float(os.cpu_count() or 1)

    def free(self) -> float:
        now = _Clocks.now()
        passed = now.wall - self.before.wall
        if passed >= SHORTEST:
            self.found = (now.own - self.before.own + now.idle - self.before.idle) / passed
            self.before = now
        return self.found


_CORES = _Cores()
