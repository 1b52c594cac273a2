"""The study, as a user runs it: by the command line, on real input, with mistakes and interruptions."""

import inspect
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

import mechsteer as ms
from analyses.studies.finished import Study
from analyses.studies.plan import Subjects, plan
from analyses.studies.settings import Settings, n_to_find, parse_multipliers
from analyses.studies.stages import Stages
from analyses.studies.study import run
from analyses.studies.workers import Workers
from analyses.units.costs import BESIDES, Costs
from analyses.units.sweeps import Tables
from mechsteer import InputError
from mechsteer.models.identity import ModelReference
from mechsteer.progress import Bar
from mechsteer.registry import extend
from mechsteer.store.keys import split_by_key
from mechsteer.store.store import Store
from mechsteer.store.units import Bench, in_order

WRITTEN = {
    "study.json", "claims.json", "sweeps.parquet", "fits.json", "sites.parquet", "frontier.parquet", "differences.parquet",
    "side_effects.parquet", "pairs_steered.parquet", "steerability.parquet",
    "second_utility.parquet",
    "interventions/diffmean-vector.safetensors", "figures/preference_utility.png",
    "figures/preference_utility.pdf", "figures/frontier.png", "figures/frontier.pdf", "pairs.jsonl", "texts.parquet",
    "report.html", "SHA256SUMS",
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
    return (
        "study",
        "--model",
        model,
        "--pairs",
        pairs,
        "--methods=DiffMean",
        "--device=cpu",
        "--panel=0",
        "--out",
        out,
        *more,
    )


@pytest.mark.slow
def test_the_study_of_a_real_model_writes_all_that_it_promises(shared, pairs, tmp_path, mechsteer, little_chance):
    code, printed, _ = mechsteer(*options(shared, pairs, tmp_path / "a", "--multipliers=-6:6:9"))
    # Half of the 24 pairs are measured.
    assert code == 0 and printed.startswith("CANNOT TELL: too few pairs")
    assert "R² in sample" in mechsteer("show", tmp_path / "a", "--details")[1]
    others = {name for name in files(tmp_path / "a") if name.startswith(("claims/", "evidence/", "figures/"))}
    assert files(tmp_path / "a") - others == {name for name in WRITTEN if "figures" not in name}
    assert files(tmp_path / "a") >= WRITTEN
    summary = json.loads((tmp_path / "a/study.json").read_text())
    assert summary["versions"]["transformer-lens"] and summary["model"]["fingerprint"]
    assert summary["site"]["hook"].startswith("blocks.")
    table = pd.read_parquet(tmp_path / "a/sweeps.parquet")
    assert len(table) == 12 * summary["multipliers"][0]["n"]


def small(shared, pairs, **changed) -> Settings:
    asked = {
        "site": "2:resid_post",
        "multipliers": "-4:4:5",
        "methods": ("DiffMean",),
        "device": "cpu",
        "claims": (),
        "panel": 0,
    }
    return Settings(str(shared / "models/stories260K"), str(pairs), **asked | changed)


def computed(settings: Settings, out: Path) -> list[str]:
    """Run the study; the kinds of what was computed and not found."""
    before = {record.key for record in Store(out.parent / ".store").records()}
    run(settings, out, report=lambda line: None)
    return sorted(record.kind for record in Store(out.parent / ".store").records() if record.key not in before)


@pytest.mark.slow
def test_an_interrupted_study_leaves_no_folder_and_goes_on_where_it_stopped(shared, pairs, tmp_path, monkeypatch):
    run(small(shared, pairs), tmp_path / "a/whole", report=lambda line: None)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("analyses.units.sweeps.Fit.compute", interrupt)
        run(small(shared, pairs), tmp_path / "b/part", report=lambda line: None)
    assert {path.name for path in (tmp_path / "b").iterdir()} == {".store"}
    with monkeypatch.context() as patch:
        patch.setattr("analyses.units.steers.Learn.compute", interrupt)  # what was learned is not learned again
        run(small(shared, pairs), tmp_path / "b/part", report=lambda line: None)
    for name in ("sweeps.parquet", "fits.json"):
        assert (tmp_path / "b/part" / name).read_bytes() == (tmp_path / "a/whole" / name).read_bytes()
    assert {path.name for path in (tmp_path / "b").iterdir()} == {".store", "part"}


@pytest.mark.slow
def test_what_a_change_leaves_alone_is_found_and_only_what_is_new_is_computed(
    shared, pairs, tmp_path, mechsteer, undrawn, little_chance, few_claims
):
    out = tmp_path / "out"
    asked = small(shared, pairs)
    first = computed(asked, out)
    assert first.count("steer") == 1 and first.count("sweep") == 1
    assert computed(asked, out) == []
    assert computed(replace(asked, claims=("DiffMean-vector",)), out).count("steer") == 0
    # Another method learns and sweeps itself.
    more = computed(replace(asked, methods=("DiffMean", "Random")), out)
    assert (more.count("steer"), more.count("sweep"), more.count("fit")) == (1, 1, 1)
    # The model is known by its files: nothing is opened where nothing is to do.
    again = options(shared, pairs, out, "--site=2:resid_post", "--multipliers=-4:4:5", "--claims=")
    code, _, told = mechsteer(*again)
    assert code == 0 and "0 computed" in told
    code, _, told = mechsteer(*again)
    assert code == 0 and "nothing was to do" in told


@pytest.mark.slow
def test_more_multipliers_and_more_pairs_measure_what_is_new(shared, pairs, tmp_path, monkeypatch):
    lines = (shared / "data/story_mood/validation.jsonl").read_text().splitlines(keepends=True)[24:]
    tests = {n: tmp_path / f"{n}.jsonl" for n in (8, 12)}
    for n, path in tests.items():
        path.write_text("".join(lines[:n]))
    asked, measured = [], ms.run_sweep

    def counted(model, intervention, pairs, multipliers, **more):
        asked.append((len(pairs), len(multipliers)))
        return measured(model, intervention, pairs, multipliers, **more)

    monkeypatch.setattr(ms, "run_sweep", counted)
    first = small(shared, pairs, test_pairs=str(tests[8]), multipliers="-4:4:5")
    run(first, tmp_path / "out", report=lambda line: None)
    assert asked.pop(0) == (8, 5)
    asked.clear()
    more = small(shared, pairs, test_pairs=str(tests[12]), multipliers="-4:4:9")
    study = run(more, tmp_path / "out", report=lambda line: None)
    # Eight pairs lack four multipliers, four lack all nine.
    assert sorted(asked[:2]) == [(4, 9), (8, 4)]
    fresh = run(more, tmp_path / "fresh/out", report=lambda line: None)
    for name in ("loss_positive", "loss_negative", "relative_shift"):
        ours, theirs = getattr(study.sweeps[0], name), getattr(fresh.sweeps[0], name)
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)


@pytest.mark.slow
def test_a_changed_model_is_another_model(shared, pairs, tmp_path):
    folder = shutil.copytree(shared / "models/stories260K", tmp_path / "model")
    for path in folder.iterdir():
        path.chmod(0o644)
    settings = replace(small(shared, pairs), model=str(folder))
    assert "steer" in computed(settings, tmp_path / "out")
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if "down_proj" in name)
    save_file(tensors | {name: tensors[name] * 1.01}, folder / "model.safetensors", {"format": "pt"})
    assert "steer" in computed(settings, tmp_path / "out")


@pytest.mark.slow
def test_a_failure_is_told_again_until_it_is_retried(shared, pairs, tmp_path, monkeypatch, mechsteer, undrawn):
    asked = ("--site=2:resid_post", "--multipliers=-4:4:5", "--claims=")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr("analyses.units.sweeps.Fit.compute", lambda self, at: fail())
        mechsteer(*options(shared, pairs, tmp_path / "out", *asked))
    code, _, error = mechsteer(*options(shared, pairs, tmp_path / "out", *asked))
    assert code == 2 and "RuntimeError: out of memory" in error and "--retry" in error
    listed = mechsteer("store", "list", "--store", tmp_path / ".store")[1]
    assert "1 could not be finished" in listed and "out of memory" in listed
    assert mechsteer(*options(shared, pairs, tmp_path / "out", *asked, "--retry"))[0] == 0


def fail():
    raise RuntimeError("out of memory")


@pytest.mark.slow
def test_the_store_is_listed_sized_and_pruned(shared, pairs, tmp_path, mechsteer, monkeypatch):
    run(small(shared, pairs), tmp_path / "out", report=lambda line: None)
    where = ("--store", tmp_path / ".store")
    listed = json.loads(mechsteer("store", "list", *where, "--json")[1])
    assert {"steer", "sweep", "fit", "frontier"} <= {row["kind"] for row in listed["results"]}
    sizes = json.loads(mechsteer("store", "size", *where, "--json")[1])
    assert sum(kind["n"] for kind in sizes["kinds"]) == len(listed["results"])
    assert json.loads(mechsteer("store", "prune", "--unused", *where, "--json")[1])["removed"] == []
    refused = []

    def beside(line: str) -> None:
        if line.startswith("steers"):
            refused.append(mechsteer("store", "prune", "--unused", *where))
            assert mechsteer("store", "prune", "--unused", "--dry-run", *where)[0] == 0

    run(small(shared, pairs, multipliers="-4:4:6"), tmp_path / "beside", report=beside)
    assert {(code, f"(process {os.getpid()})" in error) for code, _, error in refused} == {(2, True)}
    run(small(shared, pairs, multipliers="-4:4:6"), tmp_path / "out", report=lambda line: None)
    pruned = json.loads(mechsteer("store", "prune", "--unused", *where, "--json")[1])["removed"]
    assert {row["kind"] for row in pruned} >= {"sweep", "fit"} and "steer" not in {row["kind"] for row in pruned}
    assert computed(small(shared, pairs, multipliers="-4:4:6"), tmp_path / "out") == []
    monkeypatch.chdir(tmp_path)
    for arguments, words in ((("list",), "There is no store"), (("prune", *where), "Nothing was named to prune")):
        code, _, error = mechsteer("store", *arguments)
        assert code == 2 and words in error


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"multipliers": "1,2,3"}, "1,2,3 lie on one side of 0"),
        ({"multipliers": "-3:-1:3"}, "lie on one side of 0"),
        ({"limit": 4}, "--limit 4 leaves too few pairs"),
    ],
)
def test_what_would_measure_nothing_is_refused_before_it_is_done(tmp_path, asked, words):
    with pytest.raises(InputError, match=words):
        run(Settings(methods=("DiffMean",), forms=("vector",), **asked), tmp_path / "out", report=lambda line: None)


def test_a_study_that_is_there_excuses_no_other_in_its_place(small_study, tmp_path):
    place = shutil.copytree(small_study, tmp_path / "out")
    with pytest.raises(InputError, match="lie on one side of 0"):
        run(Settings(methods=("DiffMean",), forms=("vector",), multipliers="1,2,3"), place, report=lambda line: None)


def test_a_folder_of_other_things_is_left_alone(shared, pairs, tmp_path, mechsteer):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/diary.txt").write_text("")
    code, _, error = mechsteer(*options(shared, pairs, tmp_path / "mine"))
    assert code == 2 and "is no study" in error and {path.name for path in tmp_path.iterdir()} == {"mine"}


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
        ({"--format": "xml"}, "Choose raw, cued or chat"),
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
    assert not (tmp_path / "out").exists() and not (tmp_path / ".store").exists()


@pytest.mark.slow
def test_generate_shows_the_texts_of_several_multipliers_side_by_side(shared, pairs, tmp_path, mechsteer, undrawn):
    asked = ("--site=2:resid_post", "--multipliers=-4:4:5", "--claims=")
    assert mechsteer(*options(shared, pairs, tmp_path / "out", *asked))[0] == 0
    steer = tmp_path / "out/interventions/diffmean-vector.safetensors"
    code, printed, _ = mechsteer(
        "generate", "--model", shared / "models/stories260K", "--intervention", steer, "--multiplier", -8,
        "--multiplier", 8, "--max-new-tokens", 12, "Once upon a time",
    )  # fmt: skip
    assert code == 0 and "blocks.2.hook_out" in printed and "Once upon a time" in printed
    assert "-8" in printed and "0.525" in printed  # the median relative shift


def test_the_settings_repeat_themselves_as_a_command():
    settings = Settings(model="a b", multipliers="-1:1:5", seed=3)
    assert settings.command == "mechsteer study --model='a b' --multipliers=-1:1:5 --seed=3"


def test_a_method_that_is_named_twice_is_studied_once_and_two_that_share_a_file_s_name_are_refused(pairs, tmp_path):
    subjects = Subjects(ModelReference("w", "t", "float32"), *(ms.load_pairs(pairs),) * 2, others=())
    settings = Settings(methods=("SFT", "SFT"), forms=("vector",), multipliers="-1:1:5")
    assert [sweep.result.slug for sweep in plan(settings, subjects, "1:resid_post").sweeps] == ["sft-vector-seed0"]
    ours = tmp_path / "ours.py"
    ours.write_text('FAMILY = "objective"\nNAME = "sft"\n')
    extend(ours)
    with pytest.raises(InputError, match="The files of .* would be called the same"):
        plan(replace(settings, methods=("SFT", "sft")), subjects, "1:resid_post")


def test_weights_that_cannot_be_edited_leave_that_claim_undecided_and_stop_nothing(pairs, tmp_path):
    subjects = Subjects(ModelReference("w", "t", "float32"), *(ms.load_pairs(pairs),) * 2, others=())
    settings = Settings(methods=("DiffMean",), forms=("vector",), multipliers="-1:1:5")
    planned = plan(settings, subjects, "1:resid_post")
    store = Store(tmp_path)
    store.prepare()
    bench = Bench(store)
    for unit in planned.edited:
        bench.put(unit, Tables({}, "It is no weight."))
    (judge,) = (unit for unit in planned.verdicts if unit.claim == "one_operation")
    (claim,) = bench.get(judge).claims
    assert (claim.outcome, claim.because) == (ms.Outcome.INCONCLUSIVE, "It is no weight.")


def test_what_is_left_is_known_once_the_model_has_swept_and_shrinks_with_what_is_done(pairs):
    some = ms.load_pairs(pairs)
    subjects = Subjects(ModelReference("w", "t", "float32", n_layers=4), some, some, others=(some,), second=(some,))
    planned = plan(Settings(multipliers="-1:1:5"), subjects, "1:resid_post")
    units, costs = list(planned.units), Costs()
    assert costs.seconds(units) is None and costs.seconds(planned.fits) == BESIDES["fit"] * len(planned.fits)
    costs.add(planned.sweeps[0], 2.0)
    assert costs.of(planned.sweeps[1]) == 2.0
    left = [costs.seconds(units[done:]) for done in range(len(units))]
    assert None not in left and left == sorted(left, reverse=True) and left[0] > 2 * len(planned.sweeps)


def test_whatever_takes_long_before_there_is_a_plan_has_a_stage_in_the_bar(pairs, shared, tmp_path, monkeypatch):
    """Reading pairs, opening the model, reading tokens and choosing the site; then the units, with their number."""
    shown, during = [], {}

    @contextmanager
    def bar(words, total):
        found = Bar(words, total, 0, lambda bar: shown.append((bar.description, bar.total)))
        found.note(words)
        yield found

    def watched(name, function):
        def call(*given, **more):
            during.setdefault(name, shown[-1])
            return function(*given, **more)

        return call

    monkeypatch.setattr("analyses.studies.study.progress_bar", bar)
    monkeypatch.setattr("analyses.studies.subjects.load_pairs", watched("pairs", ms.load_pairs))
    for name in ("load_model", "encode_pairs", "choose_site", "run_sweep"):
        monkeypatch.setattr(ms, name, watched(name, getattr(ms, name)))
    settings = Settings(
        str(shared / "models/stories260K"), str(pairs), methods=("DiffMean",), forms=("vector",), claims=(), panel=0,
        multipliers="-1:1:5", device="cpu", jobs=1,
    )  # fmt: skip
    run(settings, tmp_path / "out", report=lambda line: None)
    assert during["pairs"] == ("pairs", None) and during["load_model"] == ("model", None)
    assert during["choose_site"] == ("site", None)
    words, total = during["encode_pairs"]
    assert words.startswith("tokens: ") and total is None
    words, total = during["run_sweep"]
    assert words.startswith("steers: ") and total > 5


def test_a_unit_takes_as_long_as_those_like_it_by_its_size_and_one_that_was_held_up_says_nothing(pairs):
    some = ms.load_pairs(pairs)
    subjects = Subjects(ModelReference("w", "t", "float32", n_layers=4), some, some, others=(some,))
    planned = plan(Settings(multipliers="-1:1:5", seeds=3), subjects, "1:resid_post")
    first, second, third, *_ = planned.sweeps
    costs = Costs()
    for sweep, seconds in ((first, 2.0), (second, 2.0), (third, 500.0)):
        costs.add(sweep, seconds)
    assert costs.of(replace(third, multipliers=tuple(range(10)))) == pytest.approx(4.0)
    written = planned.texts[0]
    by_passes = costs.of(written)
    costs.add(written, 7.0)
    assert costs.of(written) == pytest.approx(7.0) != by_passes
    costs.add(planned.fits[0], 90.0)
    assert costs.of(planned.fits[1]) == 90.0


TOOK = {
    "SmolLM2 135M": {
        "sweep": 37, "trial": 130, "steer": 31.5, "side effects": 31, "fit": 8.9, "second utility": 11, "forecast": 21,
    },
    "Gemma 3 270M": {
        "sweep": 27, "trial": 107, "steer": 34, "side effects": 8.3, "fit": 6, "second utility": 35, "forecast": 12,
        "texts": 141, "evidence": 30, "edited weights": 15,
    },
}  # fmt: skip
"""Median seconds of a unit in the campaign's cells of Psychopathy: 20 pairs, 17 multipliers, 12 steps of training."""


@pytest.mark.parametrize("model", TOOK)
def test_what_kinds_take_is_estimated_from_sweeps_alone_as_real_models_took_it(model):
    halves = [ms.load_pairs("guestbook/sentiment").sample(20, seed=seed) for seed in (0, 1)]
    subjects = Subjects(ModelReference("w", "t", "float32", n_layers=30), *halves, others=())
    settings = Settings(
        pairs="p", methods=("DiffMean", "SFT", "SPLIT"), forms=("vector", "lora"), steps=12, seeds=5, tune=4, panel=0,
        multipliers="-8:8:17",
    )  # fmt: skip
    planned, took = plan(settings, subjects, "1:resid_post"), TOOK[model]
    costs, by_kind = Costs(), {}
    costs.add(planned.sweeps[0], took["sweep"])
    for unit in in_order(planned.units):
        by_kind.setdefault(unit.kind, []).append(costs.of(unit))
    for kind, seconds in took.items():
        assert 1 / 4 < by_kind[kind][-1] / seconds < 4, kind
    told = [sum(by_kind[kind]) for kind in took]
    assert sum(told) == pytest.approx(sum(took[kind] * len(by_kind[kind]) for kind in took), rel=0.25)


class Instant(Workers):
    """Has each unit at once, and leaves nothing of it."""

    def compute(self, units, bench, each):
        for unit in in_order(units):
            each(unit, False)


def test_a_study_has_one_total_and_its_time_left_goes_down_to_nothing_with_the_last_figure(pairs, tmp_path):
    """Of all stages from the first unit on: those that have not begun count, and so do figures and the page."""
    some = ms.load_pairs(pairs)
    subjects = Subjects(ModelReference("w", "t", "float32", n_layers=4), some, some, others=(some,), second=(some,))
    planned = plan(Settings(multipliers="-1:1:5"), subjects, "1:resid_post")
    store, seen = Store(tmp_path), []
    bench, workers = Bench(store), Instant(store, Settings())
    stages = Stages(lambda line: None, bar=Bar("Study", None, 0, lambda bar: seen.append((bar.total, bar.left))))
    stages.costs.add(planned.sweeps[0], 2.0)
    stages.plan(planned.units, bench, 2)
    for stage in planned.stages:
        stages.compute([stage], bench, workers)
    assert list(stages.told(workers)(str.upper, ["control", "claims"])) == ["CONTROL", "CLAIMS"]
    totals, left = zip(*seen, strict=True)
    assert set(totals) == {len({unit.key for unit in planned.units}) + 1}
    assert left == tuple(sorted(left, reverse=True)) and left[0] > len(planned.sweeps) and left[-1] == 0


def test_multipliers_are_given_or_so_many_are_found():
    assert n_to_find("auto") == inspect.signature(ms.find_multipliers).parameters["n"].default
    assert [n_to_find(text) for text in ("auto", "auto:41", "-4:4:41", "0")] == [31, 41, None, None]


def test_zero_is_always_among_the_multipliers():
    assert parse_multipliers("-1:1:4").tolist() == pytest.approx([-1, -1 / 3, 0, 1 / 3, 1])


def test_a_folder_without_a_study_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no study\.json"):
        Study.load(tmp_path)


@pytest.mark.slow
def test_train_and_sweep_by_the_command_line_use_the_same_files(shared, pairs, tmp_path, mechsteer):
    model = ("--model", shared / "models/stories260K", "--pairs", pairs, "--device", "cpu")
    steer, table = tmp_path / "lora.safetensors", tmp_path / "sweep.parquet"
    code, printed, _ = mechsteer("train", *model, "--form=lora", "--site=2:mlp.out", "--steps=10", "--out", steer)
    assert code == 0 and "SPLIT lora at 2:mlp.out" in printed
    assert files(tmp_path) == {"lora.safetensors", "lora.history.parquet"}
    assert len(pd.read_parquet(tmp_path / "lora.history.parquet")) == 10
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
        (
            ("train", "--site=2:mlp.out", "--method=PPO", "--out=x.safetensors"),
            "Choose DiffMean, Random, SFT, RePS, SPLIT",
        ),
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


@pytest.mark.slow
def test_a_study_of_trained_steers_compares_them_and_says_which_gains_more(
    tmp_path, mechsteer, undrawn, little_chance, few_claims
):
    code, printed, _ = mechsteer(
        "study", "--out", tmp_path / "out", "--site=1:resid_post", "--multipliers=-6:6:5", "--limit=48",
        "--methods=DiffMean,SPLIT", "--forms=vector", "--seeds=2", "--steps=6", "--tune=1", "--device=cpu", "--panel=0",
    )  # fmt: skip
    assert code == 0 and printed.startswith("WORKED")
    printed = " ".join(mechsteer("show", tmp_path / "out", "--details")[1].split())
    assert "As a vector, SPLIT" in printed and "2 training seeds" in printed
    assert "Asking in words gains" in printed
    study = Study.load(tmp_path / "out")
    assert [sweep.key.steer for sweep in study.sweeps] == [
        "DiffMean vector 1:resid_post", "SPLIT vector 1:resid_post seed 0", "SPLIT vector 1:resid_post seed 1",
    ]  # fmt: skip
    frontier = study.table("frontier")
    assert set(frontier.n_seeds[frontier.method == "SPLIT"]) == {2}
    # Which gains more is what the claims say.
    claimed = [c for c in json.loads((tmp_path / "out/claims.json").read_text()) if c["claim"] == "split_wins"]
    differences = study.table("differences")
    assert differences.against.tolist() == ["DiffMean"] == [claim["against"] for claim in claimed]
    assert differences.outcome.tolist() == [claim["outcome"] for claim in claimed]
    assert differences.low.tolist() == [claim["low"] for claim in claimed]
    assert set(study.table("side_effects").measured_on) == {
        "guestbook/sentiment-rest",
        "guestbook/certainty",
        "guestbook/tense",
    }
    # The first training seed of every steer writes, whether claims were asked of it or not.
    assert [key.steer for key in split_by_key(study.table("texts"))] == [sweep.key.steer for sweep in study.sweeps[:2]]
    # Evidence says where tokens go under the first; the first seed of the other is followed.
    for followed in ("distance", "places"):
        assert [key.steer for key in split_by_key(study.table(followed))] == [study.sweeps[1].key.steer]
    answers = study.table("answers")
    steered = answers[answers.method == "DiffMean"].sort_values("multiplier")
    # The exact checker sees sentiment move from complaint to praise.
    assert steered.sentiment.iloc[0] < -0.3 and steered.sentiment.iloc[-1] > 0.3


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
