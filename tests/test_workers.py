"""Workers: the same results whatever their number, failures that arrive, and nobody left behind."""

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import joblib
import pytest

import mechsteer as ms
from analyses.studies.settings import Settings
from analyses.studies.study import run
from analyses.studies.workers import Workers, jobs_for, sent
from mechsteer.models.identity import identify
from mechsteer.store.store import Store

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    pairs = ms.save_pairs(ms.load_pairs("guestbook/tense").sample(32), tmp_path_factory.mktemp("pairs") / "pairs.jsonl")
    return Settings(
        pairs=str(pairs), site="1:resid_post", multipliers="-8:8:5", methods=("DiffMean", "SFT"), forms=("vector",),
        steps=2, tune=2, claims=(), device="cpu",
    )  # fmt: skip


@pytest.mark.slow
def test_several_processes_give_the_bytes_of_one(settings, tmp_path):
    one = run(replace(settings, jobs=1), tmp_path / "one" / "study", report=lambda line: None)
    told = []
    two = run(replace(settings, jobs=2), tmp_path / "two" / "study", report=told.append)
    assert any(line.startswith("tuning") and "2 computed" in line for line in told)
    for name in ("sweeps.parquet", "fits.json", "frontier.parquet", "tuning.parquet", "side_effects.parquet"):
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes(), name


INTERRUPTED = """
import signal, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from analyses.studies import workers
from analyses.studies.settings import Settings
from mechsteer.store.store import Store

made = []

def interrupted(*_, **__):
    signal.raise_signal(signal.SIGINT)
    made.append(ThreadPoolExecutor(1))
    return made[0]

workers.ProcessPoolExecutor = interrupted
# Of a process in a shell's background, it is ignored from the beginning.
before = signal.default_int_handler
signal.signal(signal.SIGINT, before)
try:
    with workers._pool(Store(Path(sys.argv[1])), Settings(), 2):
        sys.exit("something was begun")
except KeyboardInterrupt:
    sys.exit(None if made and signal.getsignal(signal.SIGINT) is before else "no pool was made")
"""


def test_ctrl_c_waits_until_a_pool_is_made(tmp_path):
    """In a process of its own, for Ctrl-C is the main thread's."""
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


BROKEN = """
from mechsteer import InputError
from mechsteer.methods.objectives.base import Objective

FAMILY = "objective"
NAME = "Broken"


class Broken(Objective):
    name = NAME

    def __call__(self, losses):
        raise InputError("It is broken.")
"""


@pytest.mark.slow
def test_a_failure_in_a_worker_is_the_study_s(tmp_path, apart):
    (tmp_path / "broken.py").write_text(BROKEN)
    code, _, error = apart(
        "-m", "mechsteer", "study", "--extend=broken.py", "--methods=DiffMean,Broken", "--forms=vector", "--limit=32", "--jobs=2",
        "--site=1:resid_post", "--multipliers=-8:8:5", "--claims=", "--device=cpu", "--out=study",
    )  # fmt: skip
    assert code == 2 and "None of 4 settings taught anything: It is broken." in error and "Traceback" not in error


def blocks_ctrl_c(_: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_workers_block_ctrl_c_however_they_were_begun(settings, tmp_path):
    store = Store(tmp_path / ".store")
    store.prepare()
    with Workers(store, settings) as workers:
        workers.n_jobs = 2
        assert workers._submit(blocks_ctrl_c, 0).result()
        assert all(workers.map(blocks_ctrl_c, range(4)))
    assert not blocks_ctrl_c(0)


@pytest.mark.slow
def test_ctrl_c_is_one_sentence_and_no_worker_hears_of_it_even_as_it_begins(tmp_path):
    """To all processes, as a terminal sends it. What a worker would print depends on who is first; what it blocks does not."""
    command = [sys.executable, "-m", "mechsteer", "study", "--limit=60", "--site=1:resid_post", "--jobs=2", "--claims="]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    study = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    workers = _until(lambda: _children(study.pid), 120)
    blocked = [int(re.findall(r"SigBlk:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())[0], 16) for pid in workers]
    assert workers and all(mask >> (signal.SIGINT - 1) & 1 for mask in blocked)
    os.killpg(study.pid, signal.SIGINT)
    printed, _ = study.communicate(timeout=60)
    assert study.returncode == 130 and "mechsteer: interrupted" in printed and "Traceback" not in printed, printed
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


class Odd(Exception):
    """Pickled by its one argument, it asks for two."""

    def __init__(self, what: str, where: str):
        super().__init__(f"{what} at {where}")


@pytest.mark.parametrize("error", [Odd("a fault", "a layer"), ms.InputError("It is broken.")], ids=["odd", "usual"])
def test_an_error_arrives_in_its_words_even_where_it_cannot_be_unpickled(error):
    def fail(value: int) -> None:
        raise error

    with pytest.raises((RuntimeError, ms.InputError)) as raised:
        sent(fail, 0)
    arrived = pickle.loads(pickle.dumps(raised.value))
    assert str(arrived).endswith(str(error)) and isinstance(arrived, ms.InputError) is isinstance(error, ms.InputError)


def test_there_are_as_many_as_cores_for_a_small_model_and_one_for_a_large_one(settings, guestbook, monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 3)
    model, auto = identify(guestbook), replace(settings, jobs=None)
    assert jobs_for(auto, model) == 3
    assert jobs_for(auto, replace(model, d_model=4096, n_layers=32)) == 1
    assert jobs_for(replace(auto, device="cuda"), model) == 1 and jobs_for(replace(auto, jobs=7), model) == 7
    with pytest.raises(ms.InputError, match="0 jobs"):
        replace(settings, jobs=0)


@pytest.mark.slow
def test_nobody_is_left_behind_when_a_study_is_killed(tmp_path):
    command = [sys.executable, "-m", "mechsteer", "study", "--limit=32", "--site=1:resid_post", "--jobs=2", "--claims="]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    study = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    workers = _until(lambda: _children(study.pid), 120)
    os.kill(study.pid, signal.SIGKILL)
    study.wait()
    assert _until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 20)


def _children(pid: int) -> list[int]:
    """Workers of a process, once there are two: those that spawn made, without what tracks resources."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and b"spawn_main" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except (OSError, IndexError):
            continue
    return found if len(found) >= 2 else []


def _until(found, seconds: float):
    end = time.monotonic() + seconds
    while not (value := found()) and time.monotonic() < end:
        time.sleep(0.2)
    return value
