"""Time and memory of calls, side by side."""

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch


def seconds(work: Callable[[], object], device: str = "cpu") -> float:
    """How long `work` takes, what it has started on a GPU included."""
    _finish(device)
    start = time.perf_counter()
    work()
    _finish(device)
    return time.perf_counter() - start


def interleaved(runners: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """What each runner measures of itself in each repeat; every other repeat goes in reverse order."""
    found = {name: [] for name in runners}
    for repeat in range(repeats):
        for name in list(runners)[:: -1 if repeat % 2 else 1]:
            found[name].append(runners[name]())
            report(f"  {name} {found[name][-1]:.3g} s")
    return found


def report(text: str) -> None:
    """Progress, apart from the tables."""
    print(text, file=sys.stderr, flush=True)


def peak_megabytes(work: Callable[[], object], device: str = "cpu") -> float:
    """How much memory `work` takes above what is held before it (on the CPU, of the process; Linux)."""
    gc.collect()
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    # What is free but not given back would hide as much of what is taken next.
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    # 5 sets the peak back to what is held now.
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    work()
    return _resident("VmHWM") - before


def _resident(name: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kilobytes = next(line for line in status if line.startswith(name)).split()[1]
    return int(kilobytes) * 1024 / 1e6


def _finish(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
