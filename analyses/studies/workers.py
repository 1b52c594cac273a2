"""Processes that compute a study's units beside each other: on a CPU, a small model leaves all cores but one idle."""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait as wait_for
from pathlib import Path

from mechsteer.models.identity import ModelReference
from mechsteer.registry import extend
from mechsteer.store.store import Store
from mechsteer.store.units import Bench, Unit, in_order

from .settings import Settings

LEAST_UNITS = 4
"""Units that must be missing for it to be worth the seconds in which workers start."""
SMALL = 20_000_000
"""Parameters of a model's blocks, below which PyTorch is given one thread (`mechsteer/models/threads.py`)."""
_bench: Bench


def jobs_for(settings: Settings, model: ModelReference) -> int:
    """As many as were asked for; else a process for each core where the model is small and runs on the CPU, and one where not."""
    if settings.jobs is not None:
        return settings.jobs
    if 12 * model.n_layers * model.d_model**2 > SMALL or settings.device not in (None, "cpu"):
        return 1
    import torch

    return 1 if settings.device is None and torch.cuda.is_available() else len(os.sched_getaffinity(0))


def compute_apart(
    units: Sequence[Unit], bench: Bench, settings: Settings, n_jobs: int, each: Callable[[Unit, bool], None]
) -> None:
    """What is missing, each unit in one of so many processes as soon as its inputs are there; the results are the same."""
    missing = [unit for unit in in_order(units) if not bench.holds(unit.key)]
    running: dict[Future, Unit] = {}
    with _pool(bench.store, settings, n_jobs) as pool:
        while missing or running:
            ready = [unit for unit in missing if all(bench.holds(other.key) for other in unit.inputs)]
            for unit in ready[: n_jobs - len(running)]:
                missing.remove(unit)
                running[pool.submit(_place, unit)] = unit
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                unit = running.pop(future)
                future.result()
                bench.computed.append(unit)
                each(unit, False)


@contextmanager
def _pool(store: Store, settings: Settings, n_jobs: int):
    """Workers that are gone afterwards, however it ends."""
    kept = {name: os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ.update(dict.fromkeys(kept, "1"))
    try:
        with ProcessPoolExecutor(
            n_jobs, mp_context=get_context("spawn"), initializer=_start, initargs=(settings, str(store.folder))
        ) as pool:
            try:
                yield pool
            except BaseException:
                for process in active_children():
                    process.kill()
                raise
    finally:
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _start(settings: Settings, folder: str) -> None:
    """A worker begins: Ctrl-C is its parent's to answer, and without a parent it ends."""
    global _bench
    from .study import Opener

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for path in settings.extend:
        extend(path)
    store = Store(Path(folder))
    _bench = Bench(store, Opener(settings, store).open, retry=settings.retry)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)


def _place(unit: Unit) -> None:
    _bench.place(unit)
