"""A campaign on Ray: actors that each hold one model and do cells as they are asked, on this machine or on a cluster.

Cells' settings travel, and why one failed; results go into the store, which every node sees under the same path, as it does
models and pairs. So a worker that dies loses nothing but the unit that it was at: another takes its cell up from the store.
Ray's own retries are off, because they are endless where memory is short.
"""

import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib

from mechsteer.errors import InputError
from mechsteer.models.source import weights_size
from mechsteer.store.store import Store

from ..studies.opening import Models, source_of
from ..studies.settings import Settings
from .cell import Workplace, fail
from .plan import CampaignPlan, Cell

MOST_DEATHS = 3
"""Deaths of workers in one cell, one after the other and without a new result, before it is given up."""
BESIDES = 1_500_000_000
"""Bytes that a worker takes beside its model: libraries, and a few pairs at a time."""


@dataclass
class Lane:
    """The cells of one worker: some of those that one open model serves, in the order of the plan."""

    cells: deque[Cell]
    resources: dict[str, float]
    actor: Any = None
    deaths: int = 0
    results: int = 0
    """In the store when the last worker died."""


def run_cells(plan: CampaignPlan, workplace: Workplace, address: str | None = None) -> Iterator[tuple[Cell, str]]:
    """Each cell as it ends, with why it could not be finished, or ""."""
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError("Ray is not installed. Run: pip install 'mechsteer[ray]', or leave --executor out.") from error
    with _stdout_kept_clean(), _cluster(ray, address):
        yield from _run(ray, plan, workplace)


def _run(ray: Any, plan: CampaignPlan, workplace: Workplace) -> Iterator[tuple[Cell, str]]:
    """One cell in flight for each worker; a worker begins when the cluster has room for it."""
    store, flying = Store(Path(workplace.store)), {}
    room = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    waiting = deque(_lanes(plan, workplace, has_gpus=any(node.get("GPU") for node in room)))
    while waiting or flying:
        while waiting and (not flying or _fits(waiting[0].resources, ray.available_resources())):
            lane = waiting.popleft()
            if not any(_fits(lane.resources, node) for node in room):
                yield from _give_up(lane, _too_large(lane, room), workplace)
                continue
            flying[_next(ray, lane, workplace)] = lane
        ready, _ = ray.wait(list(flying), timeout=5) if flying else ([], None)
        for future in ready:
            lane = flying.pop(future)
            cell = lane.cells[0]
            try:
                reason = ray.get(future)
            except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError) as error:
                if (sentence := _died(lane, store, error)) is None:
                    workplace.report(f"\n{cell.name}: its worker died; another takes it up from what is finished")
                    flying[_next(ray, lane, workplace)] = lane
                    continue
                reason = sentence
                fail(workplace.out, workplace.plan, cell, reason)
            yield cell, reason
            lane.cells.popleft()
            lane.deaths = 0
            if lane.cells:
                flying[_next(ray, lane, workplace)] = lane
            elif lane.actor is not None:
                ray.kill(lane.actor)


def _next(ray: Any, lane: Lane, workplace: Workplace) -> Any:
    """Ask the lane's worker for its next cell; one that has died is replaced."""
    if lane.actor is None:
        remote = ray.remote(Worker).options(max_restarts=0, max_task_retries=0, **lane.resources)
        lane.actor = remote.remote(replace(workplace, jobs=1, report=_silent, models=Models()), os.getcwd())
    return lane.actor.do.remote(lane.cells[0])


def _died(lane: Lane, store: Store, error: Exception) -> str | None:
    """Why a cell is given up whose worker has died, or None where it is tried again."""
    lane.actor = None
    results = sum(1 for _ in store.folder.glob("[0-9a-f][0-9a-f]/*"))
    lane.deaths = 1 if results > lane.results else lane.deaths + 1
    lane.results = results
    if lane.deaths < MOST_DEATHS:
        return None
    asked = lane.resources["memory"] / 1e9
    return (
        f"Its worker died {lane.deaths} times in a row without a new result, having asked for {asked:.1f} GB of memory "
        f"({' '.join(str(error).split())[:200]}). Take a larger machine or a smaller dtype, and repeat the command."
    )


def _give_up(lane: Lane, sentence: str, workplace: Workplace) -> Iterator[tuple[Cell, str]]:
    for cell in lane.cells:
        fail(workplace.out, workplace.plan, cell, sentence)
        yield cell, sentence


class Worker:
    """Does cells, one at a time, with one model open; started where Ray finds room."""

    def __init__(self, workplace: Workplace, folder: str):
        # Names of models and pairs are as they are where the campaign was begun.
        if Path(folder).is_dir():
            os.chdir(folder)
        self.workplace = workplace

    def do(self, cell: Cell) -> str:
        """Why it could not be finished, or ""."""
        return self.workplace.do(cell)


def _lanes(plan: CampaignPlan, workplace: Workplace, has_gpus: bool) -> list[Lane]:
    """For each model, as many workers as --jobs says, or one; families are dealt out whole."""
    by_model: dict[tuple, list[tuple[Cell, ...]]] = {}
    for family in plan.families:
        by_model.setdefault(family[0].settings.opened_as, []).append(family)
    lanes = []
    for families in by_model.values():
        n = min(workplace.jobs or 1, len(families))
        for first in range(n):
            cells = deque(cell for family in families[first::n] for cell in family)
            lanes.append(Lane(cells, resources_for(cells[0].settings, has_gpus)))
    return lanes


def resources_for(settings: Settings, has_gpus: bool) -> dict[str, float]:
    """What Ray must set aside: a core, a GPU unless it is to be the CPU or none is there, and what opening the model takes."""
    on_gpu = settings.device not in (None, "cpu") or (settings.device is None and has_gpus)
    return {
        "num_cpus": 1,
        "num_gpus": int(on_gpu),
        "memory": BESIDES + (0 if on_gpu else weights_size(str(source_of(settings)), settings.dtype)),
    }


def _fits(asked: dict[str, float], room: dict[str, float]) -> bool:
    names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
    return all(value <= room.get(names[name], 0) for name, value in asked.items())


def _too_large(lane: Lane, room: list[dict[str, float]]) -> str:
    asked = lane.resources
    memory, gpus = (max((node.get(name, 0) for node in room), default=0) for name in ("memory", "GPU"))
    return (
        f"{lane.cells[0].settings.model!r} asks for {asked['memory'] / 1e9:.1f} GB of memory and {asked['num_gpus']:g} GPUs, and "
        f"no node has more than {memory / 1e9:.1f} GB and {gpus:g} GPUs. Add a larger node, or pass a smaller dtype."
    )


@contextmanager
def _cluster(ray: Any, address: str | None) -> Iterator[None]:
    """Ray, started here or joined, and left afterwards."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Workers do the work, at the priority of this command; Ray's default lets whatever else runs go first.
    os.environ.setdefault("RAY_worker_niceness", "0")
    own = {"num_cpus": joblib.cpu_count(), "include_dashboard": False, "object_store_memory": 100 * 2**20}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **({} if address else own))
    except (ConnectionError, ValueError) as error:
        raise InputError(
            f"No Ray cluster answers at {address!r} ({error}). Start one, or leave --address out."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _stdout_kept_clean() -> Iterator[None]:
    """Inside the block what is written to standard output goes to standard error: Ray tells there of workers that die."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _silent(line: str) -> None:
    pass
