"""Campaigns on Ray: the bytes of one process, whoever dies; `make cluster` runs this in an environment with Ray."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.torch import load_file
from test_campaign import PLAN_FILE

from analyses.campaigns.on_ray import BESIDES, MOST_DEATHS, resources_for
from analyses.studies.settings import Settings
from mechsteer.guestbook import LANGUAGES
from mechsteer.models.source import weights_size

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
def test_a_worker_asks_for_a_core_and_its_model_s_weights_in_their_dtype(language):
    files = LANGUAGES[language].model_folder.glob("*.safetensors")
    n = sum(tensor.numel() for path in files for tensor in load_file(path).values())
    on_cpu, on_gpu = (resources_for(Settings(language), has_gpus=gpus) for gpus in (False, True))
    assert on_cpu == {"num_cpus": 1, "num_gpus": 0, "memory": BESIDES + 4 * n} and 4 * n > 1e6
    assert on_gpu == {"num_cpus": 1, "num_gpus": 1, "memory": BESIDES}
    assert resources_for(Settings(language, device="cpu"), has_gpus=True) == on_cpu
    assert resources_for(Settings(language, dtype="bfloat16"), has_gpus=False)["memory"] == BESIDES + 2 * n


@pytest.mark.parametrize(("name", "rest", "largest", "file", "peak"), [
    ("Gemma 3 270M", 100_326_016, 167_772_160, 253e6, 2.8e9), ("Qwen2.5 0.5B", 494_032_768, 136_134_656, 491e6, 4.0e9),
])  # fmt: skip
def test_a_quantised_file_asks_for_the_peak_that_unpacking_it_was_measured_to_take(
    tmp_path, name, rest, largest, file, peak
):
    """A file of the two models' numbers of parameters, quantised as they are to less than five bits (LOG.md, GGUF)."""
    n_more, left = divmod(rest, largest)
    sizes, path = [largest] * (n_more + 1) + [left], tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for number, n in enumerate(sizes):
        n -= n % 256
        kind = gguf.GGMLQuantizationType.Q4_K
        writer.add_tensor_info(f"t{number}", [n // 256 * 144], np.dtype(np.uint8), n // 256 * 144, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as written:
        written.truncate(int(file))
    whole = BESIDES + weights_size(str(path))
    assert peak < whole < 2 * peak
    # A smaller dtype asks for less, by the weights alone.
    assert weights_size(str(path)) - weights_size(str(path), "bfloat16") == pytest.approx(2 * sum(sizes), abs=2000)


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
    header = json.dumps({"weight": {"dtype": "F32", "shape": [10**12, 5, 1], "data_offsets": [0, 2 * 10**13]}}).encode()
    (tmp_path / "large/model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    (tmp_path / "plan.toml").write_text(PLAN_FILE + '[grid]\nmodel = ["../large", "guestbook"]\n')
    process = begin(tmp_path / "cluster")
    large, small = json.loads(process.communicate()[0])["cells"]
    assert process.returncode == 1 and (large["state"], small["state"]) == ("failed", "done")
    assert large["reason"].startswith("'../large' asks for 20001.5 GB of memory")


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
