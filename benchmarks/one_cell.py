"""One study by `study`, and the same as a campaign's only cell: `python benchmarks/one_cell.py [OPTIONS OF A STUDY...]`.

It prints what each costs, in seconds and in cores' seconds, and ends with code 1 where their results differ.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
OF_HOW = ("seconds", "command", "campaign")
"""What study.json says of the run, not of what it found; a cell names its campaign."""
TOLD_OF_HOW = ("report.html", "SHA256SUMS")
"""A page says how long its study took, and the checksums are of both."""


def run(folder: Path, *command: str) -> tuple[float, float]:
    """Seconds and cores' seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with (folder / "said.log").open("w") as said:
        subprocess.run(
            [sys.executable, "-m", "mechsteer", *command, f"--store={folder / '.store'}"],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=folder, check=True, stdout=said, stderr=said,
        )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, sum(getattr(after, of) - getattr(before, of) for of in ("ru_utime", "ru_stime"))


def results(study: Path) -> dict[str, bytes]:
    """What a study found, file by file."""
    found = {path.relative_to(study).as_posix(): path.read_bytes() for path in study.rglob("*") if path.is_file()}
    about = json.loads(found["study.json"])
    found["study.json"] = json.dumps({name: about[name] for name in about if name not in OF_HOW}).encode()
    return {name: data for name, data in found.items() if name not in TOLD_OF_HOW}


def main(options: list[str]) -> int:
    """The study's options are given to both, by way of the configuration that `study` leaves."""
    with tempfile.TemporaryDirectory() as temporary:
        alone, grid = (Path(temporary) / name for name in ("alone", "grid"))
        for folder in (alone, grid):
            folder.mkdir()
        costs = {"study": run(alone, "study", *options, "--out", str(alone / "out"))}
        settings = json.loads((alone / "out/study.json").read_text())["settings"]
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items() if value is not None]
        lines = ["[defaults]", *lines, "[[grid]]", f"model = [{json.dumps(settings['model'])}]"]
        (grid / "plan.toml").write_text("\n".join(lines))
        costs["campaign"] = run(grid, "campaign", "plan.toml", "--out", str(grid / "out"))
        for name, (seconds, cores) in costs.items():
            print(f"{name:<9}{seconds:7.0f} s {cores:7.0f} s of cores")
        (cell,) = (path.parent for path in (grid / "out").glob("*/study.json"))
        ours, theirs = results(alone / "out"), results(cell)
    differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    told = (
        f"{len(differing)} of {len(ours)} files differ: {', '.join(differing)}."
        if differing
        else f"All {len(ours)} are equal."
    )
    print(told)
    return int(bool(differing))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
