"""What is told of a study while it runs: which stage has ended, how long it took, and how long the rest will take."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mechsteer.progress import Bar
from mechsteer.store.units import Bench, Unit, in_order

from ..units.costs import Costs
from .workers import Workers

Report = Callable[[str], None]
Each = Callable[[Callable, Iterable], Iterator]
FINISH = 25.0
"""Seconds of one core that figures and the page take, about."""


@dataclass
class Stages:
    """Tells what is done, and how long it took."""

    report: Report
    seconds: dict[str, float] = field(default_factory=dict)
    bar: Bar = field(default_factory=Bar.hidden)
    """Of the whole study, from its pairs to its last figure."""
    costs: Costs = field(default_factory=Costs)
    n_jobs: int = 1
    _left: dict[str, Unit] | None = None
    """Units that are planned and not there yet; None until all is planned."""
    _since: float = field(default_factory=time.perf_counter)

    def plan(self, units: Iterable[Unit], bench: Bench, n_jobs: int) -> None:
        """All that the study will compute, in so many processes; figures and the page count as one unit more."""
        self._left = {unit.key: unit for unit in units if not bench.holds(unit.key)}
        self.n_jobs = n_jobs
        self.bar.add(len(self._left) + 1)

    def done(self, stage: str, words: str) -> None:
        """A stage, or a part of one, has ended."""
        now = time.perf_counter()
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + now - self._since, 2)
        self._since = now
        self.report(f"{stage:<13}{words}")

    def compute(self, stages: Sequence[tuple[str, Sequence[Unit]]], bench: Bench, workers: Workers) -> None:
        """The units of several stages: what the store lacks. A stage is told of once it and all before it are there; where
        there are several workers, those that it leaves idle have gone on to the next."""
        units = [unit for _, some in stages for unit in some]
        missing = {unit.key for unit in units if not bench.holds(unit.key)}
        to_tell = [(stage, {unit.key for unit in some}) for stage, some in stages if some]
        computed = {stage: len(keys & missing) for stage, keys in to_tell}
        of_stage = {key: stage for stage, keys in to_tell for key in keys}
        for unit in in_order(units):
            if unit.key not in missing:
                self.learn(unit, bench)

        def tell() -> None:
            while to_tell and not to_tell[0][1] & missing:
                stage, keys = to_tell.pop(0)
                found = len(keys) - computed[stage]
                self.done(stage, f"{computed[stage]} computed" + f", {found} found" * bool(found))

        def each(unit: Unit, was_there: bool) -> None:
            if unit.key in missing:
                missing.remove(unit.key)
                self.learn(unit, bench)
                if self._left is not None:
                    self._left.pop(unit.key, None)
                self.bar.advance(f"{of_stage[unit.key]}: {unit.words}", self._seconds_left())
                tell()

        tell()
        if (first := next((unit for unit in units if unit.key in missing), None)) is not None:
            self.bar.note(f"{of_stage[first.key]}: {first.words}", self._seconds_left())
        workers.compute(units, bench, each)

    def learn(self, unit: Unit, bench: Bench) -> None:
        """How long a unit took that is there."""
        if bench.holds(unit.key):
            self.costs.add(unit, float(bench.store.record(unit.key)["seconds"]))

    def _seconds_left(self) -> float | None:
        """How long the rest of the study takes: stages that have not begun, figures and the page too."""
        if self._left is None or (left := self.costs.seconds(self._left.values())) is None:
            return None
        return (left + FINISH) / self.n_jobs

    def told(self, workers: Workers) -> Each:
        """Maps as the workers do, and tells what is done."""

        def each(function: Callable, values: Iterable) -> Iterator:
            names, began = list(values), time.perf_counter()
            for n, (name, result) in enumerate(zip(names, workers.map(function, names), strict=True), 1):
                each_took = (time.perf_counter() - began) / n
                self.bar.note(f"finish: {name}", each_took * (len(names) - n))
                yield result

        return each
