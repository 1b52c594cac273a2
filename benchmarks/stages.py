"""Stages of a study on a real model, each against its own alternative: `python benchmarks/stages.py [OPTIONS OF A STUDY...]`.

Two studies from an empty store, each in a process of its own. The first has 60 measured pairs and 21 multipliers: evidence is
held against one sweep of the same steer, figures and page against half a minute; texts are timed in `writing.py`. The second is a
first verdict: DiffMean against chance at three shifts, on 20 pairs, all claims but the panel. Options are added to both.
Without a model among them, MECHSTEER_MODELS and MECHSTEER_DATA name the folders of SmolLM2 and of stories; `make bench` runs this
where they do.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tables import head, line

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from mechsteer.store.store import Store  # noqa: E402

MODEL = (
    "--model=$MECHSTEER_MODELS/SmolLM2-135M-Instruct.Q4_1.gguf", "--pairs=$MECHSTEER_DATA/story_mood/train.jsonl",
    "--site=15:resid_post", "--dtype=float32",
)  # fmt: skip
COMMON = ("--methods=DiffMean", "--forms=vector", "--panel=0", "--multipliers=-4:4:21", "--jobs=1")
STUDIES = {"60 pairs": ("--limit=120",), "a first verdict": ("--limit=40",)}
"""Half of so many pairs are measured."""
EVIDENCE = "evidence"
FINISH, FIRST = 30.0, 300.0
"""Seconds that figures and page may take, and a first verdict."""


class Unit(NamedTuple):
    """What the store says of one result."""

    kind: str
    seconds: float


class Mark(NamedTuple):
    """What was asked and what was reached."""

    what: str
    asked: float
    reached: float

    def row(self) -> str:
        return line(
            self.what, f"<= {self.asked:.3g} s", f"{self.reached:.3g} s", "yes" if self.reached <= self.asked else "no"
        )


def marks(units: Iterable[Unit], stages: dict[str, float]) -> list[Mark]:
    """Of the first study: evidence takes no more than one sweep, the longest; figures and page are done soon."""
    units = list(units)
    sweep = max((unit.seconds for unit in units if unit.kind == "sweep"), default=float("nan"))
    evidence = [unit.seconds for unit in units if unit.kind == EVIDENCE]
    found = [Mark("evidence, against one sweep", sweep, max(evidence))] if evidence else []
    return [*found, Mark("figures and page", FINISH, stages["finish"])]


def run(folder: Path, options: Iterable[str]) -> tuple[float, dict[str, float], list[Unit]]:
    """Seconds of the whole command, of its stages, and of every unit."""
    store, out, began = folder / "store", folder / "out", time.perf_counter()
    command = [sys.executable, "-m", "mechsteer", "study", *options, f"--store={store}", f"--out={out}"]
    subprocess.run(command, check=True, stdout=sys.stderr, env=os.environ | {"PYTHONPATH": str(ROOT)})
    took = time.perf_counter() - began
    stages = json.loads((out / "study.json").read_text(encoding="utf-8"))["seconds"]
    return took, stages, [Unit(record.kind, record.seconds) for record in Store(store).records()]


def main(options: list[str]) -> int:
    """Print stages, kinds of units and marks; 1 where a mark is missed."""
    given = [] if any(option.startswith("--model") for option in options) else list(MODEL)
    missing = [name for name in ("MECHSTEER_MODELS", "MECHSTEER_DATA") if given and name not in os.environ]
    if missing:
        print(
            f"{missing[0]} names no folder, so no stage was timed. Set it, or name --model and --pairs.",
            file=sys.stderr,
        )
        return 0
    found: list[Mark] = []
    for name, limit in STUDIES.items():
        with tempfile.TemporaryDirectory() as folder:
            took, stages, units = run(Path(folder), [*given, *COMMON, *limit, *options])
        print(head(name, *stages, "the whole command"))
        print(line("seconds", *(f"{value:.1f}" for value in (*stages.values(), took))))
        kinds = sorted({unit.kind for unit in units})
        print(head(f"{name}, by kind of unit", *kinds))
        print(
            line("seconds", *(f"{sum(unit.seconds for unit in units if unit.kind == kind):.1f}" for kind in kinds)),
            flush=True,
        )
        found += marks(units, stages) if name == "60 pairs" else [Mark("a first verdict", FIRST, took)]
    print(head("mark", "asked", "reached", "met"))
    print(*(mark.row() for mark in found), sep="\n")
    return int(any(mark.reached > mark.asked for mark in found))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
