"""What is written down with a variable of the environment holds wherever the files lie."""

import json
from pathlib import Path

import pytest

import mechsteer as ms
from analyses.campaigns.plan import read_plan
from analyses.claims.result import MIN_PAIRS
from analyses.studies.configuration import read_settings
from mechsteer import InputError, guestbook
from mechsteer.pairs.reading import label_of
from mechsteer.paths import resolved

ROOT = Path(__file__).parents[1]


def test_a_variable_stands_for_its_folder_at_the_beginning_of_a_path_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", str(tmp_path))
    assert resolved("$PLACE/a/b.jsonl") == str(tmp_path / "a/b.jsonl")
    for name in ("guestbook", "a/$PLACE/b", "$PLACE", "price$/a", "$/a", "owner/repository"):
        assert resolved(name) == name
    monkeypatch.chdir(tmp_path)
    (tmp_path / "$PLACE").mkdir()
    (tmp_path / "$PLACE/own.jsonl").write_text("{}")
    assert resolved("$PLACE/own.jsonl") == "$PLACE/own.jsonl", "a file that is called so"
    monkeypatch.setenv("PLACE", "")
    with pytest.raises(
        InputError, match="^.PLACE/a begins with a variable that is not set. Say where it lies: PLACE=FOLDER"
    ):
        resolved("$PLACE/a")


@pytest.mark.slow
def test_models_and_pairs_are_found_and_a_plan_is_one_plan_wherever_they_lie(tmp_path, monkeypatch, mechsteer, undrawn):
    pairs = ms.load_pairs("guestbook/tense")[:24]
    (tmp_path / "plan.toml").write_text(
        '[defaults]\nsite = "2:mlp.out"\nmultipliers = "-4:4:5"\nmethods = "DiffMean"\nclaims = ""\ndevice = "cpu"\n'
        '[grid]\nmodel = ["$PLACE/model"]\npairs = ["$PLACE/own.jsonl"]\n'
    )
    ids, weights = set(), set()
    for folder in (tmp_path / "here", tmp_path / "there"):
        folder.mkdir()
        ms.save_pairs(pairs, folder / "own.jsonl")
        (folder / "model").symlink_to(guestbook.MODEL_FOLDER)
        monkeypatch.setenv("PLACE", str(folder))
        ids.add(read_plan(tmp_path / "plan.toml").id)
        code, printed, error = mechsteer("campaign", tmp_path / "plan.toml", "--out", folder / "out", "--json")
        assert code == 0, error
        told = json.loads((folder / "out/model-own/study.json").read_text())
        weights.add((told["model"]["fingerprint"], told["pairs"]["testing"]["fingerprint"], told["plan"]))
        assert told["model"]["name"] == "$PLACE/model" and str(folder) not in told["command"]
    assert len(ids) == len(weights) == 1
    monkeypatch.delenv("PLACE")
    code, printed, error = mechsteer("study", "--pairs=$PLACE/own.jsonl")
    assert (code, printed) == (2, "") and "PLACE=FOLDER before the command" in error


def test_the_plan_of_real_models_holds_what_it_says_and_its_slice_is_one_of_its_studies():
    plan = read_plan(ROOT / "docs/plan.toml")
    core = [cell.settings for cell in plan.cells if cell.settings.seeds == 5 and not cell.condition]
    assert len({said.model for said in core}) == 3 and len(core) >= 9
    for model in {said.model for said in core}:
        own = [said for said in core if said.model == model]
        assert {label_of(said.pairs) for said in own} >= {"psychopathy", "train", "train_data-5"}
        assert all({"DiffMean", "SFT", "SPLIT"} <= set(said.methods) and said.tune == 4 for said in own)
        (panel,) = {said.panel for said in own if "story_mood" in said.pairs}
        layers = [cell.settings for cell in plan.cells if cell.settings.model == model and cell.settings.seeds == 1]
        assert len({said.site for said in layers}) == 3 and all(0 < said.panel < panel for said in layers)
    for said in (cell.settings for cell in plan.cells):
        assert said.site != "auto" and not said.few_multipliers
        has_template, is_story = "nstruct" in said.model, "story" in said.pairs
        assert said.format.partition(" ")[0] == ("raw" if is_story else "chat" if has_template else "cued")
    part = read_settings(ROOT / "docs/slice.toml")
    assert any((said.model, said.pairs, said.site) == (part["model"], part["pairs"], part["site"]) for said in core)


def test_the_plan_of_judged_texts_asks_the_papers_methods_of_two_models(tmp_path, monkeypatch):
    monkeypatch.setenv("MECHSTEER_MODELS", str(tmp_path))
    (tmp_path / "all-MiniLM-L6-v2").mkdir()
    plan = read_plan(ROOT / "docs/judged.toml")
    assert len({cell.settings.model for cell in plan.cells}) == len(plan.cells) == 2
    for said in (cell.settings for cell in plan.cells):
        assert set(said.methods) == {"DiffMean", "SFT", "RePS", "SPLIT"} and said.seeds > 1
        assert said.tune == (1 if "Qwen" in said.model else 2), "a setting of Qwen takes half an hour of a core"
        # A claim about text needs a judge of coherence, twenty queries and both multipliers of its comparison.
        assert said.judge[0] == "rules" and said.queries >= MIN_PAIRS and {"0", "1"} <= set(said.multipliers.split(","))


def test_the_plan_of_more_teaching_is_the_plans_psychopathy_but_for_what_it_says():
    campaign = [cell.settings for cell in read_plan(ROOT / "docs/plan.toml").cells]
    usual = {said.model: said.to_dict() for said in campaign if "psychopathy" in said.pairs}
    plan = read_plan(ROOT / "docs/taught.toml")
    assert len(plan.cells) == 2
    for said in (cell.settings.to_dict() for cell in plan.cells):
        before = usual[said["model"]]
        assert {name for name in said if said[name] != before[name]} == {
            "limit", "steps", "seeds", "tune", "multipliers", "ask_for", "ask_against", "queries",
        }  # fmt: skip
        assert said["limit"] == 4 * before["limit"] and said["steps"] == 5 * before["steps"]
