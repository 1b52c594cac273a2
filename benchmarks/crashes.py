"""What is killed at random moments ends, when repeated, as if nothing had happened.

`python benchmarks/crashes.py studies` kills studies, and `campaign` one campaign again and again; where Ray is installed, also
workers under a campaign that runs on. A command is a fork of this process, which has imported everything and computed nothing,
so that its seconds go into what can be interrupted.
"""

import importlib.util
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Annotated, Any

import typer

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

# So that a fork need not: all that is imported late.
import accelerate  # noqa: E402, F401
import torch._dynamo  # noqa: E402, F401
from transformers.models.llama import modeling_llama  # noqa: E402, F401

import analyses.campaigns.campaign  # noqa: E402, F401
import figures.campaigns.heat_map  # noqa: E402, F401
import figures.page  # noqa: E402
import mechsteer as ms  # noqa: E402
import mechsteer.models.opening  # noqa: E402, F401
from analyses.campaigns.plan import read_plan  # noqa: E402
from mechsteer import cli  # noqa: E402
from mechsteer.guestbook import CONCEPTS  # noqa: E402
from mechsteer.store.sums import LIST  # noqa: E402

STUDY = (
    "study", "--pairs=../pairs.jsonl", "--site=3:resid_mid", "--multipliers=-12:12:15", "--methods=DiffMean,Random,SPLIT",
    "--forms=vector", "--steps=30", "--tune=2", "--panel=6", "--device=cpu",
)  # fmt: skip
CAMPAIGN = ("campaign", "../plan.toml", "--jobs=1")
PLAN = """
primary = ["control"]

[defaults]
site = "1:resid_post"
methods = ["DiffMean"]
forms = ["vector"]
claims = []
panel = 0
limit = 16
device = "cpu"

[[grid]]
pairs = ["../sentiment.jsonl", "../tense.jsonl", "../certainty.jsonl"]
seed = [0, 1, 2]
multipliers = ["-8:8:3", "-8:8:5"]

[[grid]]
model = [{model}]
pairs = [{pairs}]
seed = [0, 1, 2]
multipliers = ["-8:8:3", "-8:8:5"]

[[override]]
where = {{ model = {model}, seed = 0, multipliers = "-8:8:5" }}
set = {{ claims = ["DiffMean-vector"] }}
"""
"""Twenty-four cells, of which every second one takes up what the one before has measured of the same steer. Pairs come from
files, which spares the exact answers, and one cell alone is judged: both take long."""
AT_THE_END = 0.4
"""Share of the studies' kills that fall into the last half: while figures are drawn and the folder is moved into place."""
LEFT = (".partial", ".tmp")
"""What a temporary's name holds."""

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
SeedOption = Annotated[int, typer.Option(help="The same seed draws the same moments.")]
KeepOption = Annotated[Path | None, typer.Option(help="Where to keep the folders of what went wrong.")]


def start(folder: Path, command: tuple[str, ...]) -> BaseProcess:
    """The command, in a process group of its own; what it says goes into a file."""
    folder.mkdir(parents=True, exist_ok=True)
    process = get_context("fork").Process(target=_do, args=(folder, command))
    process.start()
    return process


def _do(folder: Path, command: tuple[str, ...]) -> None:
    os.setsid()
    os.chdir(folder)
    with Path("said.log").open("a") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    if command[0] == "campaign":
        # Figures of cells take most of their time, and are killed among studies'.
        figures.page.draw_and_report = _draw_nothing
    sys.argv = ["mechsteer", *command, "--out=out", "--store=.store"]
    cli.main()


def _draw_nothing(folder: Path, map_: Any) -> None:
    pass


def ended(process: BaseProcess) -> int:
    """The exit code, once there is one."""
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def run_whole(folder: Path, command: tuple[str, ...]) -> float:
    """Seconds that the command takes undisturbed."""
    began = time.perf_counter()
    if (code := ended(start(folder, command))) != 0:
        raise RuntimeError(f"It ended with {code}: {(folder / 'said.log').read_text()[-2000:]}")
    return time.perf_counter() - began


def kill_after(folder: Path, command: tuple[str, ...], seconds: float, since: Callable[[], bool] = lambda: True) -> str:
    """Kill the command so long after something holds; the stage that it had told of last, or "" if it had ended by then."""
    process = start(folder, command)
    while process.is_alive() and not since():
        time.sleep(0.1)
    process.join(seconds)
    if not process.is_alive():
        return ""
    assert process.pid is not None
    os.killpg(process.pid, signal.SIGKILL)
    process.join()
    # A stage's line begins with its name, filled up to thirteen letters.
    lines = (folder / "said.log").read_text(errors="replace").splitlines()
    return next((line[:13].strip() for line in reversed(lines) if re.match(r"[a-z][a-z ]{11} ", line)), "start")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, without what says how long it took."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data, is_of_a_study = path.read_bytes(), (path.parent / "study.json").is_file()
        if path.name == "study.json":
            kept = {key: value for key, value in json.loads(data).items() if key != "seconds"}
            data = json.dumps(kept, sort_keys=True).encode()
        # A study's page says how long it took, too, and the checksums are of both.
        if not is_of_a_study or path.name not in ("report.html", LIST):
            found[path.relative_to(folder).as_posix()] = data
    return found


def left_behind(folder: Path) -> list[str]:
    """Temporaries that nobody has removed."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    inside = [name for name in names if name.startswith((".store/tmp/", ".store/parts/"))]
    return inside + [name for name in names if any(part in Path(name).name for part in LEFT)]


def wrong_in(folder: Path, code: int, expected: dict[str, bytes], keep: Path | None) -> str:
    """What is wrong with what a command left that ended with that code; "" where all is well."""
    wrong = []
    if code != 0:
        last = (folder / "said.log").read_text(errors="replace").splitlines()[-1:]
        wrong.append(f"the repeated command ended with {code}: {' '.join(last)}")
    else:
        found = contents(folder / "out")
        differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        if differing:
            wrong.append(f"{len(differing)} files differ, such as {differing[0]}")
    if left := left_behind(folder):
        wrong.append(f"{len(left)} temporaries are left, such as {left[0]}")
    if wrong and keep is not None:
        shutil.copytree(folder, keep / folder.name, dirs_exist_ok=True)
    return "; ".join(wrong)


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix="crashes-"))
    # Where processes that Ray starts find us.
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def undisturbed(place: Path, command: tuple[str, ...]) -> tuple[float, dict[str, bytes]]:
    """Seconds that a whole run takes, and what it leaves."""
    seconds = run_whole(place / "whole", command)
    expected = contents(place / "whole/out")
    print(f"An undisturbed {command[0]} takes {seconds:.1f} s and leaves {len(expected)} files.", flush=True)
    return seconds, expected


def tell(stages: list[str]) -> None:
    """In which stages the kills fell."""
    print("\n| last told | kills |\n|---|---:|")
    for stage, n in Counter(stages).most_common():
        print(f"| {stage} | {n} |")
    print(flush=True)


@app.command()
def studies(
    kills: Annotated[int, typer.Option(help="How many studies are killed.")] = 100,
    seed: SeedOption = 0,
    keep: KeepOption = None,
) -> None:
    """Every fifth is killed twice. Exit code 1 if one does not end with the bytes of an undisturbed run."""
    rng, stages, recovered = random.Random(seed), [], 0
    with workplace() as place:
        ms.save_pairs(ms.load_pairs("guestbook/sentiment").sample(48), place / "pairs.jsonl")
        seconds, expected = undisturbed(place, STUDY)
        run_whole(place / "twin", STUDY)
        if expected != contents(place / "twin/out"):
            raise RuntimeError("Two undisturbed runs differ, so nothing can be compared with them.")
        for index in range(kills):
            first = rng.uniform(0.5, 1) if rng.random() < AT_THE_END else rng.random()
            folder, stage = place / f"trial-{index}", ""
            for share in (first, rng.random()) if index % 5 == 4 else (first,):
                stage = kill_after(folder, STUDY, share * seconds) or "ended"
            stages.append(stage)
            if wrong := wrong_in(folder, ended(start(folder, STUDY)), expected, keep):
                print(f"trial {index}, killed at {stage}: {wrong}", flush=True)
            recovered += not wrong
            shutil.rmtree(folder, ignore_errors=True)
    tell(stages)
    print(f"{recovered} of {kills} recovered.")
    raise typer.Exit(recovered < kills)


@app.command()
def campaign(
    kills: Annotated[int, typer.Option(help="How often the campaign is killed.")] = 30,
    deaths: Annotated[int, typer.Option(help="How many workers of Ray are killed under the same campaign.")] = 5,
    model: Annotated[str, typer.Option(help="Of a quarter of the cells.")] = "guestbook-rich",
    pairs: Annotated[str, typer.Option(help="Of the same cells.")] = "guestbook-rich/praise",
    seed: SeedOption = 0,
    keep: KeepOption = None,
) -> None:
    """A campaign of 24 cells. Exit code 1 if it does not end with the bytes of an undisturbed one, each time."""
    rng, wrong = random.Random(seed), []
    with workplace() as place:
        for concept in CONCEPTS:
            ms.save_pairs(ms.load_pairs(f"guestbook/{concept}").sample(16), place / f"{concept}.jsonl")
        (place / "plan.toml").write_text(plan_of(model, pairs))
        seconds, expected = undisturbed(place, CAMPAIGN)
        if kills:
            hit = kill_again_and_again(place / "killed", kills, rng, seconds)
            wrong.append(wrong_in(place / "killed", ended(start(place / "killed", CAMPAIGN)), expected, keep))
            print(f"Killed {hit} times: {wrong[-1] or 'the bytes of an undisturbed run'}.", flush=True)
        if deaths and importlib.util.find_spec("ray") is None:
            print("Ray is not installed here, so none of its workers is killed: see `make cluster`.")
        elif deaths:
            code = ended(kill_workers(place / "workers", deaths, rng, seconds))
            wrong.append(wrong_in(place / "workers", code, expected, keep))
            print(f"{deaths} workers killed: {wrong[-1] or 'the bytes of an undisturbed run'}.", flush=True)
    raise typer.Exit(any(wrong))


def plan_of(model: str, pairs: str) -> str:
    """The campaign's plan, with a second model; names of files are as they are here."""
    paths = [str(Path(name).absolute()) if Path(name).exists() else name for name in (model, pairs)]
    return PLAN.format(model=json.dumps(paths[0]), pairs=json.dumps(paths[1]))


def kill_again_and_again(folder: Path, kills: int, rng: random.Random, seconds: float) -> int:
    """How many kills hit it. They are spread over the cells, however fast these are done: each waits until its share of them is
    there, and a part of a cell's time; where more is there already, it falls into what a repeated command looks through."""
    n_cells, stages = len(read_plan(folder.parent / "plan.toml").cells), []
    for number in range(kills):
        share, moment = number * n_cells // kills, rng.uniform(0, seconds / n_cells)
        if stage := kill_after(folder, CAMPAIGN, moment, lambda share=share: n_done(folder) >= share):
            stages.append(stage)
            print(f"Kill {len(stages)}, at {stage}: {n_done(folder)} cells are done.", flush=True)
    tell(stages)
    return len(stages)


def kill_workers(folder: Path, deaths: int, rng: random.Random, seconds: float) -> BaseProcess:
    """The campaign on two workers, one of which is killed now and then; the campaign itself is left alone.

    Each death waits until its share of the cells is done, and a part of a cell's time, so that later cells are hit too.
    """
    n_cells = len(read_plan(folder.parent / "plan.toml").cells)
    process = start(folder, (*CAMPAIGN, "--jobs=2", "--executor=ray"))
    for number in range(1, deaths + 1):
        while process.is_alive() and n_done(folder) < number * n_cells / (deaths + 1):
            time.sleep(0.2)
        time.sleep(rng.uniform(0, seconds / n_cells))
        while process.is_alive() and not (found := ray_workers(folder)):
            time.sleep(0.2)
        if not process.is_alive():
            raise RuntimeError(f"It ended before death {number}: {(folder / 'said.log').read_text()[-2000:]}")
        os.kill(rng.choice(found), signal.SIGKILL)
        print(f"Death {number}, of one of {len(found)} workers: {n_done(folder)} cells are done.", flush=True)
    return process


def ray_workers(folder: Path) -> list[int]:
    """The processes of Ray's workers that do cells of the campaign which was begun in a folder, by their numbers."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        # A process may end while it is looked at.
        with suppress(OSError):
            if (path / "cmdline").read_bytes().startswith(b"ray::Worker") and Path(os.readlink(path / "cwd")) == folder:
                found.append(int(path.name))
    return sorted(found)


def n_done(folder: Path) -> int:
    """How many cells' studies are in their places."""
    return len(list((folder / "out").glob("[!.]*/study.json")))


if __name__ == "__main__":
    app()
