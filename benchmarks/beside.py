"""How long a sweep takes beside one busy process, against alone: a part of `make bench`.

On SmolLM2-135M's shape (W5), with some of its pairs and multipliers, in turn: with nothing beside it, and with a process that
keeps one core busy. On two cores that may cost half of them: a sweep may take twice as long, not more.
"""

import statistics
import subprocess
import sys
from typing import Annotated

import typer
from clock import interleaved, seconds
from ours import Mechsteer
from tables import head, line, spread
from workloads import WORKLOADS

ASKED = 2.0
"""Times as long as alone, at most."""
N_PAIRS, N_MULTIPLIERS = 20, 9
BUSY = "while True: pass"


def main(
    repeats: int = 3, workload: Annotated[str, typer.Option(help=f"Any of {', '.join(WORKLOADS)}.")] = "W5"
) -> None:
    """Print the table of Beside a busy process in benchmarks/README.md."""
    chosen = WORKLOADS[workload]
    ours = Mechsteer.open(chosen.build(), chosen.pairs()[:N_PAIRS], chosen.layer)
    steer, grid = chosen.steer(), chosen.multipliers[:: max(1, chosen.n_multipliers // N_MULTIPLIERS)]

    def alone() -> float:
        return seconds(lambda: ours.sweep(steer, grid))

    def beside() -> float:
        busy = subprocess.Popen([sys.executable, "-c", BUSY])
        try:
            return alone()
        finally:
            busy.kill()
            busy.wait()

    alone()
    found = interleaved({"alone": alone, "beside": beside}, repeats)
    ratios = [slow / fast for slow, fast in zip(found["beside"], found["alone"], strict=True)]
    print(head("", "alone, s", "beside a busy process, s", "beside / alone"))
    print(line(f"{chosen.name}, sweep", spread(found["alone"]), spread(found["beside"]), spread(ratios)))
    met = "yes" if statistics.median(ratios) <= ASKED else "no"
    print(head("mark", "asked", "reached", "met"))
    print(line(f"{chosen.name}, sweep: beside / alone", f"<= {ASKED:g}", spread(ratios), met))


if __name__ == "__main__":
    typer.run(main)
