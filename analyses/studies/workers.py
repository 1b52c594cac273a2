"""Processes that compute a study's units beside each other: on a CPU, a small model leaves all cores but one idle."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from traceback import format_exception_only
from typing import Any, TypeVar

from mechsteer.models.identity import ModelReference
from mechsteer.progress import say_nothing
from mechsteer.registry import extend
from mechsteer.store.atomic import interrupted_afterwards
from mechsteer.store.store import Store
from mechsteer.store.units import Bench, Unit, in_order

from .opening import Opener
from .settings import Settings

LEAST_UNITS = 4
"""Units that must be missing for it to be worth the seconds in which workers start."""
SMALL = 20_000_000
"""Parameters of a model's blocks, below which PyTorch is given one thread (`mechsteer/models/threads.py`)."""
T = TypeVar("T")
R = TypeVar("R")
_bench: Bench


def jobs_for(settings: Settings, model: ModelReference) -> int:
    """As many as were asked for; else a process for each core where the model is small and runs on the CPU, and one where not."""
    if settings.jobs is not None:
        return settings.jobs
    if 12 * model.n_layers * model.d_model**2 > SMALL or settings.device not in (None, "cpu"):
        return 1
    import joblib
    import torch

    return 1 if settings.device is None and torch.cuda.is_available() else joblib.cpu_count()


class Workers:
    """Processes for the units of a study: started once there is work enough for them, and kept until its end.

    with Workers(store, settings) as workers:
        workers.n_jobs = jobs_for(settings, model)
        workers.compute(units, bench, each)
    """

    def __init__(self, store: Store, settings: Settings):
        self.n_jobs = 1
        self._pool: ProcessPoolExecutor | None = None
        self._store, self._settings, self._ended = store, settings, ExitStack()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *raised: Any) -> None:
        self._ended.__exit__(*raised)

    def compute(self, units: Sequence[Unit], bench: Bench, each: Callable[[Unit, bool], None]) -> None:
        """What is missing, each unit in one of the processes as soon as its inputs are there; the results are the same as here.
        `each` is told of every unit once it is there, and whether it was before."""
        missing = [unit for unit in in_order(units) if not bench.holds(unit.key)]
        if self._pool is None and (self.n_jobs == 1 or len(missing) < LEAST_UNITS):
            bench.run(units, each)
            return
        running: dict[Future, Unit] = {}
        while missing or running:
            ready = [unit for unit in missing if all(bench.holds(other.key) for other in unit.inputs)]
            for unit in ready[: self.n_jobs - len(running)]:
                missing.remove(unit)
                running[self._submit(_place, unit)] = unit
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                unit = running.pop(future)
                future.result()
                bench.computed.append(unit)
                each(unit, False)

    def open(self, model: ModelReference) -> None:
        """Let each of several workers open the model, while something else is done here."""
        for _ in range(self.n_jobs if self.n_jobs > 1 else 0):
            self._submit(_open, model)

    def map(self, function: Callable[[T], R], values: Iterable[T]) -> Iterator[R]:
        """As the built-in, in the processes if there are any by now."""
        if self._pool is None:
            return map(function, values)
        with _starting_children():
            return self._pool.map(partial(sent, function), values)

    def _submit(self, function: Callable[[T], R], value: T) -> Future[R]:
        """To a process that is free, or to a new one."""
        if self._pool is None:
            self._pool = self._ended.enter_context(_pool(self._store, self._settings, self.n_jobs))
        with _starting_children():
            return self._pool.submit(sent, function, value)


@contextmanager
def _pool(store: Store, settings: Settings, n_jobs: int):
    """Workers that are gone afterwards, however it ends."""
    kept = {name: os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    os.environ.update(dict.fromkeys(kept, "1"))
    try:
        with interrupted_afterwards():
            # Half a pool would leave semaphores behind.
            pool = ProcessPoolExecutor(
                n_jobs, mp_context=get_context("spawn"), initializer=_start, initargs=(settings, str(store.folder))
            )
        with pool:
            try:
                yield pool
            except BaseException:
                for process in active_children():
                    process.kill()
                raise
    finally:
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def _starting_children():
    """Ctrl-C, which reaches every process of a terminal, is the parent's to answer: a child that begins here never hears of it.

    Its first seconds go into imports, and a handler that it set for itself would come after them. The parent answers once the
    child has all that it needs to begin.
    """
    with interrupted_afterwards():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(settings: Settings, folder: str) -> None:
    """A worker begins; without a parent it ends."""
    global _bench
    say_nothing()
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


def _open(model: ModelReference) -> None:
    _bench.model(model)


def _place(unit: Unit) -> None:
    _bench.place(unit)


def sent(function: Callable[[T], R], value: T) -> R:
    """What the function gives; an error that the parent could not unpickle, which would break the pool, is told in its words."""
    try:
        return function(value)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            raise RuntimeError("".join(format_exception_only(error)).strip()) from error
        raise
