"""The place of a study: what may be replaced, by whom, and what is left when a run is killed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from analyses.studies.folder import FORMAT, StudyFolder, files_of
from mechsteer import InputError

ROOT = Path(__file__).parents[1]


def fill(text: str):
    def write(work: Path) -> None:
        (work / "table.csv").write_text(text)
        about = {"format": FORMAT, "plan": text, "files": files_of(work)}
        (work / "study.json").write_text(json.dumps(about))

    return write


def test_a_study_is_swapped_in_whole_and_nothing_is_left_beside_it(tmp_path):
    folder = StudyFolder.at(tmp_path / "out")
    folder.replace(fill("one"))
    StudyFolder.at(tmp_path / "out").replace(fill("two"))
    assert folder.manifest()["plan"] == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_fails_while_it_is_filled_changes_nothing(tmp_path):
    StudyFolder.at(tmp_path / "out").replace(fill("one"))

    def fail(work: Path) -> None:
        (work / "table.csv").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        StudyFolder.at(tmp_path / "out").replace(fail)
    assert (tmp_path / "out/table.csv").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_leads_to_the_folder_that_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "study")
    StudyFolder.at(tmp_path / "out").replace(fill("one"))
    StudyFolder.at(tmp_path / "out").replace(fill("two"))
    assert (tmp_path / "out").is_symlink() and (tmp_path / "disk/study/table.csv").read_text() == "two"


@pytest.mark.parametrize("out", [".", "..", "../..", "here/.."])
def test_the_folder_that_one_stands_in_is_refused(out, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="stand in"):
        StudyFolder.at(Path(out))


def test_a_mount_is_refused():
    with pytest.raises(InputError, match="mounted disk"):
        StudyFolder.at(Path("/proc"))


def test_other_folders_and_files_are_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/diary.txt").write_text("")
    with pytest.raises(InputError, match="is no study"):
        StudyFolder.at(tmp_path / "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is no study"):
        StudyFolder.at(tmp_path / "file")
    StudyFolder.at(tmp_path / "out").replace(fill("one"))
    (tmp_path / "out/notes.md").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.md"):
        StudyFolder.at(tmp_path / "out")


@pytest.mark.parametrize("said", [{"mechsteer": "0.1.0"}, {"format": 1, "mechsteer": "0.1.0"}])
def test_a_folder_of_an_older_version_is_refused_in_one_sentence(tmp_path, said):
    (tmp_path / "study.json").write_text(json.dumps(said))
    with pytest.raises(InputError, match=r"another version \(mechsteer 0\.1\.0\)"):
        StudyFolder.at(tmp_path)


def test_a_damaged_study_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        StudyFolder.at(tmp_path)


HOLD = """
    import sys, time
    from pathlib import Path
    from analyses.studies.folder import StudyFolder
    folder = StudyFolder.at(Path(sys.argv[1]) / "out")
    with folder.held(Path(sys.argv[1]) / "locks"):
        folder.out.with_name(f".out.{1}.new.partial").mkdir()
        print("held", flush=True)
        time.sleep(60)
"""


def test_a_second_run_says_who_is_writing_and_a_killed_one_lets_go(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(HOLD), str(tmp_path)]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        with (
            pytest.raises(InputError, match=f"Another run \\(process {first.pid}\\)"),
            StudyFolder.at(tmp_path / "out").held(tmp_path / "locks"),
        ):
            pass
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    assert (tmp_path / ".out.1.new.partial").exists()
    with StudyFolder.at(tmp_path / "out").held(tmp_path / "locks"):
        assert not (tmp_path / ".out.1.new.partial").exists()
