"""Studies that are killed at random moments end, when repeated, as if nothing had happened: `python benchmarks/crashes.py`."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import mechsteer as ms  # noqa: E402
from mechsteer.progress import progress_bar  # noqa: E402
from mechsteer.store.sums import LIST  # noqa: E402

STUDY = (
    "--site=3:resid_mid", "--multipliers=-12:12:15", "--methods=DiffMean,Random,SPLIT", "--forms=vector", "--steps=30",
    "--device=cpu",
)  # fmt: skip
AT_THE_END = 0.4
"""Share of the kills that fall into the last half of the run: while figures are drawn and the folder is moved into place."""
LEFT = (".partial", ".tmp")
"""What a temporary's name holds."""
UNSAID = {"study.json": ("seconds",)}
"""Parts of JSON files that say how long it took."""


@dataclass(frozen=True)
class Trial:
    """One study that was killed, and what became of it; `wrong` is empty where all is well."""

    moment: float
    stage: str
    again: float
    wrong: str


def start(folder: Path) -> subprocess.Popen:
    """The study, in a process group of its own; what it says goes into a file."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mechsteer", "study", "--pairs=../pairs.jsonl", *STUDY, "--out=study"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("MECHSTEER_STORE", None)
    with (folder / "said.log").open("a") as said:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said, start_new_session=True)


def run_whole(folder: Path) -> float:
    """Seconds that an undisturbed study takes."""
    began = time.perf_counter()
    if (code := start(folder).wait()) != 0:
        raise RuntimeError(f"The study ended with {code}: {(folder / 'said.log').read_text()[-2000:]}")
    return time.perf_counter() - began


def kill_after(folder: Path, seconds: float) -> str:
    """Kill a study at that moment; the stage that it had told of last."""
    process = start(folder)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    lines = (folder / "said.log").read_text(errors="replace").splitlines()
    return next((line.split()[0] for line in reversed(lines) if line and not line.startswith(" ")), "start")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a study's folder, without what says how long it took."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name, data = path.relative_to(folder).as_posix(), path.read_bytes()
            if name in UNSAID:
                kept = {key: value for key, value in json.loads(data).items() if key not in UNSAID[name]}
                data = json.dumps(kept, sort_keys=True).encode()
            # The page says how long it took, too, and the checksums are of both.
            if name not in ("report.html", LIST):
                found[name] = data
    return found


def left_behind(folder: Path) -> list[str]:
    """Temporaries that nobody has removed."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    inside = [name for name in names if name.startswith(("study/.store/tmp/", ".store/tmp/", ".store/parts/"))]
    return inside + [name for name in names if any(part in Path(name).name for part in LEFT)]


def trial(folder: Path, moments: list[float], expected: dict[str, bytes]) -> Trial:
    """Kill at these moments, one run after the other, then let the study end."""
    stage = ""
    for moment in moments:
        stage = kill_after(folder, moment)
    began = time.perf_counter()
    code = start(folder).wait()
    again = time.perf_counter() - began
    wrong = []
    if code != 0:
        last = (folder / "said.log").read_text(errors="replace").splitlines()[-1:]
        wrong.append(f"the repeated command ended with {code}: {' '.join(last)}")
    else:
        found = contents(folder / "study")
        differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        if differing:
            wrong.append(f"{len(differing)} files differ, such as {differing[0]}")
    if left := left_behind(folder):
        wrong.append(f"{len(left)} temporaries are left, such as {left[0]}")
    return Trial(moments[-1], stage, again, "; ".join(wrong))


def main(
    kills: Annotated[int, typer.Option(help="How many studies are killed.")] = 100,
    seed: int = 0,
    jobs: Annotated[int, typer.Option(help="How many at a time.")] = 2,
    keep: Annotated[Path | None, typer.Option(help="Where to keep the folders of trials that went wrong.")] = None,
) -> None:
    """Every fifth is killed twice. Exit code 1 if one does not end with the bytes of an undisturbed run."""
    rng, place = random.Random(seed), Path(tempfile.mkdtemp(prefix="crashes-"))
    try:
        ms.save_pairs(ms.load_pairs("guestbook/sentiment").sample(48), place / "pairs.jsonl")
        seconds = run_whole(place / "whole")
        run_whole(place / "twin")
        expected = contents(place / "whole/study")
        if expected != contents(place / "twin/study"):
            raise RuntimeError("Two undisturbed runs differ, so nothing can be compared with them.")
        print(f"An undisturbed study takes {seconds:.1f} s and leaves {len(expected)} files.")
        plans = []
        for index in range(kills):
            first = rng.uniform(0.5, 1) if rng.random() < AT_THE_END else rng.random()
            more = [rng.random()] if index % 5 == 4 else []
            # Side by side, everything takes longer.
            plans.append([share * seconds * (1.3 if jobs > 1 else 1.0) for share in (first, *more)])
        done: list[Trial] = []
        with progress_bar("Kills", kills) as bar, ThreadPoolExecutor(jobs) as pool:

            def one(index: int) -> None:
                folder = place / f"trial-{index}"
                ended = trial(folder, plans[index], expected)
                done.append(ended)
                if ended.wrong:
                    print(
                        f"trial {index}: killed after {ended.moment:.1f} s, at {ended.stage}: {ended.wrong}", flush=True
                    )
                    if keep is not None:
                        shutil.copytree(folder, keep / folder.name, dirs_exist_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
                bar.advance()

            for future in [pool.submit(one, index) for index in range(kills)]:
                future.result()
        stages, recovered = Counter(item.stage for item in done), [item for item in done if not item.wrong]
        print("\n| last told | kills | recovered |\n|---|---:|---:|")
        for stage, n in stages.most_common():
            print(f"| {stage} | {n} | {sum(item.stage == stage for item in recovered)} |")
        again = sorted(item.again for item in done)[len(done) // 2]
        print(f"\n{len(recovered)} of {kills} recovered; the repeated command took {again:.1f} s (median).")
        raise typer.Exit(len(recovered) < kills)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    typer.run(main)
