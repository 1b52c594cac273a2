"""Steers into repositories and out of them; a folder stands in for the hub, and so does one behind its programs."""

import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import HfHubHTTPError
from safetensors.torch import save_file

import mechsteer as ms
from analyses.studies.card import card
from analyses.studies.measured import Measured

NUMBER = r"(-?[\d.]+(?:e-?\d+)?)"


@pytest.fixture(scope="module")
def steer(small_study, tmp_path_factory) -> Path:
    """A steer in a study's folder, which has drawn its curves."""
    study = shutil.copytree(small_study, tmp_path_factory.mktemp("hub") / "study")
    return study / "interventions" / "diffmean-vector.safetensors"


@pytest.fixture(params=["folder", "hub"])
def repository(request, tmp_path, monkeypatch) -> str:
    """The name of an empty one."""
    if request.param == "folder":
        return str(tmp_path / "repository")
    place = tmp_path / "hub"

    class Api(huggingface_hub.HfApi):
        """What we use of it, over a folder."""

        def repo_exists(self, name):
            return (place / name).is_dir()

        def create_repo(self, name, *, private, exist_ok):
            (place / name).mkdir(parents=True, exist_ok=exist_ok)
            return huggingface_hub.RepoUrl(f"https://huggingface.co/{name}")

        def create_commit(self, name, operations, *, commit_message):
            for operation in operations:
                (place / name / operation.path_in_repo).write_bytes(operation.path_or_fileobj)

        def list_repo_files(self, name, *, revision):
            return [path.name for path in (place / name).iterdir()]

        def parse_safetensors_file_metadata(self, name, file, *, revision):
            from mechsteer.store.tensors import read_metadata

            return SimpleNamespace(metadata=read_metadata(place / name / file))

        def hf_hub_download(self, name, file, *, revision):
            return str(place / name / file)

    monkeypatch.setattr("mechsteer.hub.HfApi", Api)
    return "somebody/kind"


def test_what_is_pushed_is_what_is_pulled(steer, repository, tmp_path, mechsteer):
    assert mechsteer("push", steer, repository)[0] == 0
    code, printed, _ = mechsteer("pull", repository, "--out", tmp_path / "here")
    pulled = Path(printed.strip())
    assert code == 0 and pulled == tmp_path / "here" / steer.name
    assert pulled.read_bytes() == steer.read_bytes()
    # Again is no harm; another file in its place is not overwritten.
    assert mechsteer("push", steer, repository)[0] == mechsteer("pull", repository, "--out", tmp_path / "here")[0] == 0
    pulled.write_bytes(b"mine")
    code, _, error = mechsteer("pull", repository, "--out", tmp_path / "here")
    assert code == 2 and "is there already and is another file" in error and pulled.read_bytes() == b"mine"


def test_a_repository_holds_one_steer_and_weights_of_a_model_are_none(steer, repository, tmp_path, mechsteer):
    code, _, error = mechsteer("pull", repository)
    assert code == 2 and "holds no steers" in error
    mechsteer("push", steer, repository)
    code, _, error = mechsteer("push", next(path for path in steer.parent.iterdir() if path != steer), repository)
    assert code == 2 and f"holds another steer, '{steer.name}'" in error
    place = next(tmp_path.rglob("README.md")).parent
    save_file({"weight": torch.zeros(3)}, place / "model.safetensors")
    assert mechsteer("pull", repository, "--out", tmp_path / "out")[0] == 0
    (place / steer.name).write_bytes(steer.read_bytes()[:-8])
    code, _, error = mechsteer("pull", repository, "--out", tmp_path / "other")
    assert code == 2 and error.count("\n") == 1 and not (tmp_path / "other").exists()


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_steer_of_another_program_is_written_as_one_of_ours_first(tmp_path, mechsteer, dry):
    vector = ms.SteeringVector("1:resid_post", torch.ones(128), origin=ms.Origin(positions="every"))  # pyright: ignore
    other, pickled = tmp_path / "other.gguf", tmp_path / "layer_1.pt"
    ms.export(vector, other, "gguf-vector")
    torch.save(vector.direction, pickled)
    said = f"{pickled}#format=easyedit#layer=1"
    code, printed, error = mechsteer("push", pickled, tmp_path / "repository", *dry)
    assert code == 2 and not printed and "Name the format" in error
    for file in (other, said):
        code, printed, error = mechsteer("push", file, tmp_path / "repository", *dry)
        assert code == 2 and not printed and not (tmp_path / "repository").exists()
        # The command that it names does what it says.
        command = error.partition("push that: mechsteer ")[2].rstrip(".\n")
        verb, *words = shlex.split(command)
        *words, out = words
        assert mechsteer(verb, *words, tmp_path / out)[0] == 0
        code, printed, _ = mechsteer("push", tmp_path / out, tmp_path / "repository", "--dry-run")
        assert code == 0 and "1:resid_post" in printed


def test_a_folder_has_no_revisions(steer, tmp_path, mechsteer):
    code, _, error = mechsteer("pull", steer.parent, "--revision", "v1", "--out", tmp_path)
    assert code == 2 and "has no revisions" in error and not any(tmp_path.iterdir())


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_folder_is_not_private(steer, tmp_path, mechsteer, dry):
    code, _, error = mechsteer("push", steer, tmp_path / "repository", "--private", *dry)
    assert code == 2 and "Leave --private out" in error and error.count("\n") == 1
    assert not (tmp_path / "repository").exists()


def test_a_hub_that_refuses_is_one_sentence(steer, mechsteer, monkeypatch):
    def refuse(self, name):
        raise HfHubHTTPError("401 Client Error: who are you?", response=SimpleNamespace(headers={}, request=None))

    monkeypatch.setattr("mechsteer.hub.HfApi.repo_exists", refuse)
    for verb in (("push", steer, "somebody/kind"), ("pull", "somebody/kind")):
        code, _, error = mechsteer(*verb)
        assert code == 2 and "401" in error and "hf auth login" in error and error.count("\n") == 1


def test_a_card_says_what_the_study_measured(steer):
    measured, loaded = Measured.of(steer), ms.load_intervention(steer)
    assert measured is not None
    text = card(loaded, steer.name, "somebody/kind", measured)
    low, high = map(float, re.search(rf"from m = {NUMBER} to {NUMBER},", text.replace("\n", " ")).groups())
    sweep = measured.sweep
    lost = {m: sweep.lost.mean(axis=1)[index] for index, m in enumerate(sweep.multipliers)}
    assert all(loss <= 0.5 for m, loss in lost.items() if low <= m <= high)
    rows = re.findall(rf"^\| {NUMBER} \| {NUMBER} \| {NUMBER} \| {NUMBER} \| {NUMBER} \|$", text, flags=re.MULTILINE)
    assert len(rows) >= 3
    for m, shift, preference, _, loss in (map(float, row) for row in rows):
        (index,) = [i for i, value in enumerate(sweep.multipliers) if abs(value - m) < 1e-2 * max(1, abs(value))]
        assert shift == pytest.approx(sweep.relative_shift[index].mean(), rel=0.01)
        assert preference == pytest.approx(sweep.preference[index].mean(), rel=0.01)
        assert loss == pytest.approx(lost[sweep.multipliers[index]], rel=0.01, abs=1e-3)
    assert "| method | DiffMean |" in text and loaded.origin.fingerprint in text
    assert measured.study.summary["command"] in text


def test_a_steer_of_no_study_has_a_card_without_numbers(steer, tmp_path, mechsteer):
    alone = Path(shutil.copy(steer, tmp_path))
    assert Measured.of(alone) is None
    code, printed, _ = mechsteer("push", alone, "somebody/kind", "--dry-run")
    assert code == 0 and "How it was learned" in printed and "What it does" not in printed
    front = huggingface_hub.ModelCard(printed).data
    assert front.library_name == "mechsteer" and front.base_model is None
