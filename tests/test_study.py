"""The study, as a user runs it: by the command line, on real input, with mistakes and interruptions."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from analyses.studies.finished import Study
from analyses.studies.settings import Settings, parse_multipliers
from analyses.studies.study import run
from mechsteer import InputError

WRITTEN = {
    "study.json", "claims.json", "sweeps.parquet", "fits.json", "sites.parquet", "frontier.parquet", "differences.parquet",
    "side_effects.parquet", "interventions/diffmean-vector.safetensors", "figures/preference_utility.png",
    "figures/preference_utility.pdf", "figures/frontier.png", "figures/frontier.pdf", "pairs.jsonl", "texts.parquet",
    "report.html",
}  # fmt: skip


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
    """A study of DiffMean alone, which needs no training."""
    model = shared / "models/stories260K"
    return ("study", "--model", model, "--pairs", pairs, "--methods=DiffMean", "--device=cpu", "--out", out, *more)


def test_the_study_of_a_real_model_writes_all_that_it_promises_and_again_the_same(shared, pairs, tmp_path, mechsteer):
    code, printed, _ = mechsteer(*options(shared, pairs, tmp_path / "a"))
    assert code == 0 and "preference" in printed and "R² held out" in printed
    others = {name for name in files(tmp_path / "a") if name.startswith(("claims/", "evidence/", "figures/"))}
    assert files(tmp_path / "a") - others == {name for name in WRITTEN if "figures" not in name}
    assert files(tmp_path / "a") >= WRITTEN
    summary = json.loads((tmp_path / "a/study.json").read_text())
    assert summary["versions"]["transformer-lens"] and summary["model"]["fingerprint"]
    assert summary["site"]["hook"].startswith("blocks.")
    table = pd.read_parquet(tmp_path / "a/sweeps.parquet")
    assert len(table) == 12 * summary["multipliers"][summary["summary"]["intervention"]]["n"]

    assert mechsteer(*options(shared, pairs, tmp_path / "b"))[0] == 0
    for name in ("sweeps.parquet", "fits.json", "sites.parquet", "figures/preference_utility.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_an_interrupted_study_looks_unfinished_and_goes_on_where_it_stopped(shared, pairs, tmp_path, monkeypatch):
    settings = Settings(
        str(shared / "models/stories260K"),
        str(pairs),
        site="2:resid_post",
        multipliers="-4:4:23",
        methods=("DiffMean",),
        device="cpu",
    )
    run(settings, tmp_path / "whole", report=lambda line: None)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("analyses.studies.study.fit", interrupt)
        run(settings, tmp_path / "part", report=lambda line: None)
    assert not (tmp_path / "part").exists()
    with monkeypatch.context() as patch:
        patch.setattr("analyses.studies.study.learn", interrupt)  # what was learned is not learned again
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
        ({"--pairs": "EMPTY"}, "is empty"),
        ({"--pairs": "COLUMN"}, "negative"),
        ({"--model": "EMPTY"}, "is a file"),
        ({"--model": "UNTOKENIZED"}, "has no tokenizer"),
        ({"--site": "9:resid_post"}, "has layers 0 to 4"),
        ({"--site": "1:attention"}, "Places are"),
        ({"--site": "middle"}, "LAYER:PLACE"),
        ({"--multipliers": "a:b:c"}, "LO:HI:N"),
        ({"--multipliers": "4:-4:9"}, "do not rise"),
        ({"--format": "xml"}, "Choose raw, chat"),
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
    steer = tmp_path / "out/interventions/diffmean-vector.safetensors"
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


def test_train_and_sweep_by_the_command_line_use_the_same_files(shared, pairs, tmp_path, mechsteer):
    model = ("--model", shared / "models/stories260K", "--pairs", pairs, "--device", "cpu")
    steer, table = tmp_path / "lora.safetensors", tmp_path / "sweep.parquet"
    code, printed, _ = mechsteer("train", *model, "--form=lora", "--site=2:mlp.out", "--steps=30", "--out", steer)
    assert code == 0 and "SPLIT lora at 2:mlp.out" in printed
    assert files(tmp_path) == {"lora.safetensors", "lora.history.parquet"}
    assert len(pd.read_parquet(tmp_path / "lora.history.parquet")) == 30
    asked = ("sweep", *model, "--intervention", steer, "--multipliers=-1:1:3", "--out", table)
    assert mechsteer(*asked)[0] == 0
    first = table.read_bytes()
    frame = pd.read_parquet(table)
    means = frame.groupby("multiplier").preference.mean()
    assert means[1.0] > means[0.0] > means[-1.0] and set(frame.method) == {"SPLIT"}
    # Loaded again, in another process, the steer gives the same sweep.
    command = [sys.executable, "-m", "mechsteer", *map(str, asked)]
    assert subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True).returncode == 0
    assert table.read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--site=2:mlp.out", "--form=bias", "--out=x.safetensors"), "Choose vector, lora, local_weight"),
        (("train", "--site=2:mlp.out", "--method=PPO", "--out=x.safetensors"), "Choose DiffMean, SFT, RePS, SPLIT"),
        (("train", "--site=2:mlp.out", "--out=x.pt"), "ends in .safetensors"),
        (("train", "--site=2:mlp.out", "--form=lora", "--method=DiffMean", "--out=x.safetensors"), "gives a vector"),
        (("sweep", "--intervention=none.safetensors", "--out=x.parquet"), "no intervention at"),
        (("sweep", "--intervention=none.safetensors", "--out=x.csv"), "ends in .parquet"),
        (("generate", "--intervention=none.safetensors", "hello"), "no intervention at"),
    ],
)
def test_mistakes_of_the_other_verbs_are_one_sentence_too(tmp_path, mechsteer, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, error = mechsteer(*arguments, "--device=cpu")
    assert code == 2 and message in error and not list(tmp_path.iterdir())


def test_a_study_of_trained_steers_compares_them_and_says_who_wins(tmp_path, mechsteer):
    code, printed, _ = mechsteer(
        "study", "--out", tmp_path / "out", "--site=1:resid_post", "--multipliers=-6:6:9", "--methods=DiffMean,SPLIT",
        "--forms=vector", "--seeds=2", "--steps=12", "--device=cpu",
    )  # fmt: skip
    printed = " ".join(printed.split())
    assert code == 0 and "As a vector, SPLIT" in printed and "2 training seeds" in printed
    study = Study.load(tmp_path / "out")
    assert [sweep.intervention for sweep in study.sweeps] == [
        "DiffMean vector 1:resid_post", "SPLIT vector 1:resid_post seed 0", "SPLIT vector 1:resid_post seed 1",
    ]  # fmt: skip
    frontier = study.table("frontier")
    assert set(frontier.n_seeds[frontier.method == "SPLIT"]) == {2}
    # Who wins is what the claims say.
    claimed = [c for c in json.loads((tmp_path / "out/claims.json").read_text()) if c["claim"] == "split_wins"]
    differences = study.table("differences")
    words = {"supported": "wins", "refuted": "loses", "inconclusive": "undecided"}
    assert differences.against.tolist() == ["DiffMean"] == [claim["control"].partition(",")[0] for claim in claimed]
    assert differences.split.tolist() == [words[claim["outcome"]] for claim in claimed]
    assert differences.low.tolist() == [claim["low"] for claim in claimed]
    assert set(study.table("side_effects").pairs) == {
        "guestbook/sentiment-rest",
        "guestbook/certainty",
        "guestbook/tense",
    }
    answers = study.table("answers")
    steered = answers[answers.intervention == "DiffMean vector 1:resid_post"].sort_values("multiplier")
    # The exact checker sees sentiment move from complaint to praise.
    assert steered.sentiment.iloc[0] < -0.3 and steered.sentiment.iloc[-1] > 0.3
    assert (tmp_path / "out/figures/frontier.pdf").exists()


def test_a_repeated_id_is_refused_before_anything_is_measured(pairs, shared, tmp_path, mechsteer):
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    repeated = tmp_path / "repeated.jsonl"
    repeated.write_text("".join(json.dumps(row | {"id": "same"}) + "\n" for row in rows))
    code, _, error = mechsteer(*options(shared, repeated, tmp_path / "out"))
    assert (
        code == 2
        and "Two pairs have the id 'same'" in error
        and {p.name for p in tmp_path.iterdir()} == {"repeated.jsonl"}
    )
