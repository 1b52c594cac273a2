"""The study, as a user runs it: by the command line, on real input, with mistakes and interruptions."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from analyses.settings import Settings, parse_multipliers
from analyses.study import Study, run
from mechsteer import InputError, cli

WRITTEN = {
    "study.json", "sweeps.parquet", "fits.json", "sites.parquet", "interventions/diff_mean-vector.safetensors",
    "figures/preference_utility.png", "figures/preference_utility.pdf",
}  # fmt: skip


@pytest.fixture
def mechsteer(monkeypatch, capsys):
    """Run the command line; gives its exit code, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mechsteer", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def pairs(shared, tmp_path_factory) -> Path:
    """Twenty-four real pairs."""
    path = tmp_path_factory.mktemp("pairs") / "mood.jsonl"
    lines = (shared / "data/story_mood/validation.jsonl").read_text().splitlines(keepends=True)[:24]
    path.write_text("".join(lines))
    return path


def options(shared, pairs, out, *more) -> tuple:
    return ("study", "--model", shared / "models/stories260K", "--pairs", pairs, "--device", "cpu", "--out", out, *more)


def test_the_study_of_a_real_model_writes_all_that_it_promises_and_again_the_same(shared, pairs, tmp_path, mechsteer):
    code, printed, _ = mechsteer(*options(shared, pairs, tmp_path / "a"))
    assert code == 0 and "preference" in printed and "R² held out" in printed
    assert files(tmp_path / "a") == WRITTEN
    summary = json.loads((tmp_path / "a/study.json").read_text())
    assert summary["versions"]["transformer-lens"] and summary["model"]["fingerprint"]
    assert summary["site"]["hook"].startswith("blocks.")
    table = pd.read_parquet(tmp_path / "a/sweeps.parquet")
    assert len(table) == 12 * summary["multipliers"]["n"]

    assert mechsteer(*options(shared, pairs, tmp_path / "b"))[0] == 0
    for name in ("sweeps.parquet", "fits.json", "sites.parquet", "figures/preference_utility.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_an_interrupted_study_looks_unfinished_and_goes_on_where_it_stopped(shared, pairs, tmp_path, monkeypatch):
    settings = Settings(
        str(shared / "models/stories260K"), str(pairs), site="2:resid_post", multipliers="-4:4:23", device="cpu"
    )
    run(settings, tmp_path / "whole", report=lambda line: None)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("analyses.study.fit", interrupt)
        run(settings, tmp_path / "part", report=lambda line: None)
    assert not (tmp_path / "part").exists()
    with monkeypatch.context() as patch:
        patch.setattr("mechsteer.measure.completion_losses", interrupt)  # the sweep is not measured again
        run(settings, tmp_path / "part", report=lambda line: None)
    for name in ("sweeps.parquet", "fits.json"):
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "part"}


def test_a_folder_of_another_study_is_left_alone(shared, pairs, tmp_path, mechsteer):
    asked = ("--site", "2:resid_post", "--multipliers=-4:4:5")
    assert mechsteer(*options(shared, pairs, tmp_path / "out", *asked))[0] == 0
    before = (tmp_path / "out/study.json").read_bytes()
    code, _, error = mechsteer(*options(shared, pairs, tmp_path / "out", "--site", "1:mlp.out", "--multipliers=-4:4:5"))
    assert code == 2 and "another study; it differs in settings" in error
    assert (tmp_path / "out/study.json").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/diary.txt").write_text("")
    code, _, error = mechsteer(*options(shared, pairs, tmp_path / "mine", *asked))
    assert code == 2 and "is no study" in error
    # The same study may be made again in its place.
    assert mechsteer(*options(shared, pairs, tmp_path / "out", *asked))[0] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--pairs": "nowhere.jsonl"}, "nowhere.jsonl"),
        ({"--pairs": "EMPTY"}, "holds no"),
        ({"--pairs": "COLUMN"}, "negative"),
        ({"--model": "EMPTY"}, "is a file"),
        ({"--model": "UNTOKENIZED"}, "has no tokenizer"),
        ({"--site": "9:resid_post"}, "has layers 0 to 4"),
        ({"--site": "1:attention"}, "Places are"),
        ({"--site": "middle"}, "LAYER:PLACE"),
        ({"--multipliers": "a:b:c"}, "LO:HI:N"),
        ({"--multipliers": "4:-4:9"}, "do not rise"),
        ({"--format": "xml"}, "Choose raw or chat"),
        ({"--format": "chat"}, "no chat template"),
        ({"--dtype": "int4"}, "dtype"),
        ({"--device": "abacus"}, "device"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2_with_nothing_written(
    shared, pairs, tmp_path, mechsteer, monkeypatch, change, message
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "EMPTY.jsonl").write_text("")
    (tmp_path / "COLUMN").with_suffix(".csv").write_text("query,positive\na,b\n")
    untokenized = tmp_path / "UNTOKENIZED"
    untokenized.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(shared / "models/stories260K" / name, untokenized)
    made = {"EMPTY": tmp_path / "EMPTY.jsonl", "COLUMN": tmp_path / "COLUMN.csv", "UNTOKENIZED": untokenized}
    change = {key: made.get(value, value) for key, value in change.items()}
    given = {
        "--model": shared / "models/stories260K",
        "--pairs": pairs,
        "--device": "cpu",
        "--out": tmp_path / "out",
    } | change
    code, _, error = mechsteer("study", *[f"{key}={value}" for key, value in given.items()])
    assert code == 2
    assert message in error and error.startswith("mechsteer: ") and "Traceback" not in error
    assert not (tmp_path / "out").exists() and not (tmp_path / ".out.partial").exists()


def test_generate_shows_the_texts_of_several_multipliers_side_by_side(shared, pairs, tmp_path, mechsteer):
    assert mechsteer(*options(shared, pairs, tmp_path / "out", "--site=2:resid_post", "--multipliers=-4:4:5"))[0] == 0
    steer = tmp_path / "out/interventions/diff_mean-vector.safetensors"
    code, printed, _ = mechsteer(
        "generate", "--model", shared / "models/stories260K", "--intervention", steer, "--multiplier", -8,
        "--multiplier", 8, "--max-new-tokens", 12, "Once upon a time",
    )  # fmt: skip
    assert code == 0 and "blocks.2.hook_out" in printed and "Once upon a time" in printed
    assert "-8" in printed and "0.518" in printed  # the relative shift


def test_the_settings_repeat_themselves_as_a_command():
    settings = Settings(model="a b", multipliers="-1:1:5", seed=3)
    assert settings.command == "mechsteer study --model='a b' --multipliers=-1:1:5 --seed=3"


def test_zero_is_always_among_the_multipliers():
    assert parse_multipliers("-1:1:4").tolist() == pytest.approx([-1, -1 / 3, 0, 1 / 3, 1])


def test_a_folder_without_a_study_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no study\.json"):
        Study.load(tmp_path)
