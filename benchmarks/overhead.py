"""What units cost besides their work: `python benchmarks/overhead.py` computes empty ones, and looks up ten thousand."""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from mechsteer.store.atomic import write_json  # noqa: E402
from mechsteer.store.store import Store  # noqa: E402
from mechsteer.store.units import Bench, Unit  # noqa: E402

MOST_PER_UNIT, MOST_FOR_LOOKING = 0.05, 2.0
"""Seconds."""


@dataclass(frozen=True)
class Nothing(Unit[int]):
    """A unit that does nothing but remember its number."""

    number: int

    kind = "nothing"

    @property
    def words(self) -> str:
        return f"nothing, number {self.number}"

    def compute(self, at: Bench) -> int:
        return self.number

    def save(self, value: int, folder: Path) -> None:
        write_json(value, folder / "number.json")

    def load(self, folder: Path) -> int:
        return int((folder / "number.json").read_text())


def main(n: Annotated[int, typer.Option(help="How many units.")] = 10_000) -> None:
    """Exit code 1 where a unit costs more than 50 ms, or looking all of them up more than two seconds."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        store.prepare()
        units = [Nothing(number) for number in range(n)]
        began, worked = time.perf_counter(), time.process_time()
        Bench(store).run(units)
        per_unit, computing = (time.perf_counter() - began) / n, (time.process_time() - worked) / n
        began = time.perf_counter()
        found = sum(Nothing(number).key in store for number in range(n))
        looked_up = time.perf_counter() - began
        began = time.perf_counter()
        bench = Bench(store)
        whole = sum(bench.holds(unit.key) for unit in units)
        verified = time.perf_counter() - began
    assert found == whole == n
    print(f"{1e3 * per_unit:.1f} ms for each of {n} units computed and kept, {1e3 * computing:.1f} ms of them at work")
    print(f"{looked_up:.2f} s to look them up, keys and all; {verified:.2f} s to verify every file of them besides")
    raise typer.Exit(per_unit > MOST_PER_UNIT or looked_up > MOST_FOR_LOOKING)


if __name__ == "__main__":
    typer.run(main)
