"""Campaigns on Ray: the bytes of one process, whoever dies; `make cluster` runs this in an environment with Ray."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_campaign import PLAN_FILE

from analyses.campaigns.on_ray import BESIDES, MOST_DEATHS, resources_for
from analyses.studies.settings import Settings
from mechsteer.guestbook import LANGUAGES

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from crashes import contents, left_behind, ray_workers  # noqa: E402

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is not installed here: `make cluster` tests it in an environment of its own",
)

CAMPAIGN = [
    sys.executable, "-m", "mechsteer", "campaign", "../plan.toml", "--out=out", "--store=.store", "--json", "--executor=ray",
    "--jobs=1",
]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_worker_asks_for_a_core_and_its_model_s_weights(language):
    size = sum(path.stat().st_size for path in LANGUAGES[language].model_folder.glob("*.safetensors"))
    on_cpu, on_gpu = (resources_for(Settings(language), has_gpus=gpus) for gpus in (False, True))
    assert on_cpu == {"num_cpus": 1, "num_gpus": 0, "memory": BESIDES + size} and size > 1e6
    assert on_gpu == {"num_cpus": 1, "num_gpus": 1, "memory": BESIDES}
    assert resources_for(Settings(language, device="cpu"), has_gpus=True) == on_cpu


@needs_ray
def test_two_workers_one_of_them_killed_leave_the_bytes_of_one_process(tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN_FILE + '[grid]\npairs = ["guestbook/sentiment", "guestbook/tense"]\n')
    begin(tmp_path / "alone", "--executor=in-process").communicate()
    process = begin(tmp_path / "cluster", "--jobs=2")
    kill_a_worker(tmp_path / "cluster", process)
    said, told = process.communicate()
    assert process.returncode == 0 and b"another takes it up" in told, told.decode()
    # What Ray tells of the death is not among what is said.
    assert [cell["state"] for cell in json.loads(said)["cells"]] == ["done", "done"]
    assert contents(tmp_path / "cluster/out") == contents(tmp_path / "alone/out")
    assert not left_behind(tmp_path / "cluster")


@needs_ray
def test_a_model_that_fits_nowhere_is_said_so_and_stops_no_other(tmp_path):
    (tmp_path / "large").mkdir()
    with (tmp_path / "large/model.safetensors").open("wb") as file:
        file.truncate(10**13)
    (tmp_path / "plan.toml").write_text(PLAN_FILE + '[grid]\nmodel = ["../large", "guestbook"]\n')
    process = begin(tmp_path / "cluster")
    large, small = json.loads(process.communicate()[0])["cells"]
    assert process.returncode == 1 and (large["state"], small["state"]) == ("failed", "done")
    assert large["reason"].startswith("'../large' asks for 10001.5 GB of memory")


@needs_ray
def test_a_cell_whose_workers_always_die_is_given_up(tmp_path):
    (tmp_path / "fatal.py").write_text(
        '"""Kills its process."""\nimport os\nFAMILY = "method"\nNAME = "Fatal"\nFORMS = ("vector",)\n'
        "def learn(model, pairs, site, settings):\n    os.kill(os.getpid(), 9)\n"
    )
    fatal = PLAN_FILE.replace('["DiffMean"]', '["DiffMean", "Fatal"]') + 'extend = ["../fatal.py"]\n'
    (tmp_path / "plan.toml").write_text(fatal)
    process = begin(tmp_path / "cluster")
    (cell,) = json.loads(process.communicate()[0])["cells"]
    assert process.returncode == 1 and cell["state"] == "failed"
    assert cell["reason"].startswith(f"Its worker died {MOST_DEATHS} times in a row without a new result")


def begin(folder: Path, *options: str) -> subprocess.Popen:
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes: dict[str, int] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*CAMPAIGN, *options], cwd=folder, env=environment, **pipes)


def kill_a_worker(folder: Path, process: subprocess.Popen) -> None:
    """Once something is measured, and before all is done."""
    while process.poll() is None:
        workers, measured = ray_workers(folder), any((folder / ".store").glob("[0-9a-f][0-9a-f]/*/sweep.npz"))
        if len(workers) == 2 and measured:
            os.kill(workers[0], signal.SIGKILL)
            return
        time.sleep(0.05)
    pytest.fail(f"The campaign ended before a worker could be killed: {process.communicate()[1].decode()[-2000:]}")
