"""How many threads are worth their while: those that share a core wait for each other longer than they compute."""

import math
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
ASKED = ("OMP_NUM_THREADS", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY")
"""Variables of the environment by which a user says how many threads there shall be, or on which cores."""
SHORTEST = 0.2
"""Seconds of which it can be told what the cores did; their clocks tick a hundred times a second."""


def use_threads_for(model: Model) -> None:
    """Let PyTorch use one thread for a small model on the CPU, unless OMP_NUM_THREADS says otherwise."""
    on_cpu = model.device.type == "cpu"
    if on_cpu and "OMP_NUM_THREADS" not in os.environ and sum(p.numel() for p in model.hf.parameters()) < SMALL:
        torch.set_num_threads(1)


@contextmanager
def on_idle_cores() -> Iterator[None]:
    """Inside, PyTorch has no more threads than there are cores that no other process keeps busy; afterwards as many as before.

    How many those are is told by what the cores and this process did since it was asked last, so that long work asks anew for
    each of its pieces, and the first piece after a pause goes by the pause. What torch.set_num_threads said is the most there
    will be. Where the environment says how many threads there shall be, or where, they stay as they are.
    """
    most = torch.get_num_threads()
    if most == 1 or any(name in os.environ for name in ASKED):
        yield
        return
    free = _CORES.free()
    torch.set_num_threads(most if free >= most else max(1, round(free)))
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
    def now(cls) -> "_Clocks | None":
        """None where the system does not say."""
        try:
            every, process = psutil.cpu_times(percpu=True), psutil.Process()
            # Not every system knows of cores that a process may not have.
            ours = process.cpu_affinity() if hasattr(process, "cpu_affinity") else range(len(every))
        except (OSError, psutil.Error):
            return None
        seen = [times for core, times in enumerate(every) if core in ours]
        # In some containers those that are seen are numbered anew.
        idle = sum(times.idle + getattr(times, "iowait", 0.0) for times in (seen if len(seen) == len(ours) else every))
        return cls(time.monotonic(), time.process_time(), idle)


@dataclass
class _Cores:
    """How many cores this process may have to itself, by what has happened since it was asked last."""

    before: _Clocks | None = field(default_factory=_Clocks.now)
    found: float = math.inf

    def free(self) -> float:
        if self.before is None or time.monotonic() - self.before.wall < SHORTEST:
            return self.found
        before, self.before = self.before, _Clocks.now()
        if self.before is not None:
            taken = self.before.own - before.own + self.before.idle - before.idle
            self.found = taken / (self.before.wall - before.wall)
        return self.found


_CORES = _Cores()
