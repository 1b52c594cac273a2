"""Settings and plans from TOML: what may stand there, which cells it makes, and what is said of a mistake."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from analyses.campaigns.plan import CampaignPlan, read_plan
from analyses.studies.configuration import KINDS, read_settings
from analyses.studies.settings import Settings
from mechsteer import InputError

OTHER = Settings(
    model="a/b", pairs="x.csv", test_pairs="y.csv", columns=("query=ask",), group="theme", limit=9, site="1:mlp.out",
    layers_after=0, rule="rotate", multipliers="-1:1:5", format="chat", methods=("SFT",), forms=("lora",), seeds=2,
    recipe="paper", steps=7, tune=1, panel=0, ask_for="{query} yes", ask_against="{query} no", other_pairs=("z.csv",),
    second_pairs="s.csv", claims=("SFT-lora",), judge=("rules",), scale="trait", concept="calm", queries=9, samples=3,
    text_tokens=8, instructions="ours", gold="g.jsonl", seed=3, device="cpu", device_map="auto", dtype="float16", width="acl",
    intervention=("theirs.pt#format=easyedit#layer=1",),
)  # fmt: skip
"""In every field something else than the default, but for files of members from outside."""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def plan_of(tmp_path, text: str) -> CampaignPlan:
    return read_plan(write(tmp_path / "plan.toml", text))


def test_whatever_a_study_can_be_asked_stands_in_its_file_under_the_same_name(tmp_path):
    said = {name: value for name, value in OTHER.to_dict().items() if name != "extend"}
    assert said.keys() | {"extend"} == KINDS.keys()
    assert all(value != getattr(Settings(), name) for name, value in said.items())
    # JSON's texts, numbers and lists are TOML's, too.
    file = write(tmp_path / "study.toml", "".join(f"{name} = {json.dumps(value)}\n" for name, value in said.items()))
    assert Settings(**read_settings(file)) == OTHER


def test_what_is_said_on_the_command_line_comes_before_the_file(tmp_path, mechsteer, monkeypatch):
    asked = []
    monkeypatch.setattr("analyses.studies.study.run", lambda settings, out, **more: asked.append((settings, out)))
    monkeypatch.setattr("mechsteer.cli.summary.read", lambda out: {})
    file = write(tmp_path / "study.toml", 'pairs = "guestbook/tense"\nseeds = 2\nformat = "raw"\nmethods = "SFT,RePS"')
    assert mechsteer("study", "--config", file, "--seeds=1", "--json")[0] == 0
    ((settings, out),) = asked
    assert (settings.pairs, settings.seeds, settings.methods) == ("guestbook/tense", 1, ("SFT", "RePS"))
    assert out == Path("results/guestbook-tense")


MISTAKES = [
    ("\nmethodz = 3", 2, "Did you mean methods?"),
    ("seeds = true", 1, "'seeds' is True. It must be a whole number."),
    ("\n\nlimit = 2.5", 3, "whole number"),
    ('pairs = "a"\nforms = [\n  "vector",\n  "scalar",\n]', 2, "Choose vector, lora, local_weight"),
    ("claims = [1]", 1, "a list of texts"),
    ("jobs = 3", 1, "Pass --jobs instead"),
    ('site = "middle"', 1, "LAYER:PLACE"),
    ('ask_for = "{query} ."', 1, "One of --ask-for and --ask-against"),
    ("a = = 1", 1, "line 1, column 5"),
]


@pytest.mark.parametrize(("text", "line", "words"), MISTAKES)
def test_a_mistake_is_one_sentence_with_file_and_line_and_what_is_allowed(tmp_path, text, line, words):
    with pytest.raises(InputError, match=re.escape(words)) as error:
        read_settings(write(tmp_path / "study.toml", text))
    assert "study.toml'" in str(error.value) and f"line {line}" in str(error.value)


GRID = """
primary = ["control", "linear_region: line"]
[defaults]
limit = 40
seeds = 2
[grid]
model = ["guestbook", "a/b.gguf"]
pairs = ["guestbook/tense", "guestbook/certainty"]
seed = [0, 1]
recipe = ["ours", "paper"]
[[override]]
where = { model = "a/b.gguf", seeds = 2 }
set = { dtype = "bfloat16", seeds = 1 }
"""


def test_a_grid_makes_every_combination_and_an_override_changes_the_cells_that_it_names(tmp_path):
    plan = plan_of(tmp_path, GRID)
    assert len(plan.cells) == len({cell.name for cell in plan.cells}) == 16 and {
        c.settings.limit for c in plan.cells
    } == {40}
    # Those of a model stand together, so that it is opened once.
    assert [cell.settings.model for cell in plan.cells] == ["guestbook"] * 8 + ["a/b.gguf"] * 8
    changed = {(cell.settings.dtype, cell.settings.seeds) for cell in plan.cells if cell.settings.model != "guestbook"}
    assert changed == {("bfloat16", 1)}
    assert plan.cells[0].name == "guestbook-tense-seed-0-recipe-ours" and plan.cells[0].condition == "recipe ours"


def test_several_grids_follow_each_other(tmp_path):
    plan = plan_of(tmp_path, '[[grid]]\npairs = ["guestbook/tense"]\n[[grid]]\nmodel = ["a"]\nseed = [1, 2]')
    assert [(cell.settings.model, cell.settings.seed) for cell in plan.cells] == [("guestbook", 0), ("a", 1), ("a", 2)]


def test_a_plan_s_hash_is_that_of_what_is_studied(tmp_path):
    first = plan_of(tmp_path, GRID)
    assert plan_of(tmp_path, f"# A remark.\n{GRID}").id == first.id
    for before, after in (("limit = 40\n", "limit = 41\n"), ('["control", ', "["), ("seed = [0, 1]", "seed = [0]")):
        assert plan_of(tmp_path, GRID.replace(before, after, 1)).id != first.id


@pytest.mark.parametrize("n", [1, 2, 3, 8, 40])
def test_every_cell_is_in_one_shard_and_cells_that_share_a_steer_are_in_the_same(tmp_path, n):
    plan = plan_of(tmp_path, GRID)
    shards = [plan.shard(number, n).cells for number in range(1, n + 1)]
    assert [cell for shard in shards for cell in shard] == [cell for family in plan.families for cell in family]
    where = {cell.name: number for number, shard in enumerate(shards) for cell in shard}
    assert len(where) == 16
    for family in plan.families:
        assert len({where[cell.name] for cell in family}) == 1
        assert len({(cell.settings.model, cell.settings.pairs, cell.settings.seed) for cell in family}) == 1


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[defaults]\nseeds = 2\n[gird]\n", 3, "Allowed are name, primary"),
        ("[grid]\nseeds = 2", 2, "In a grid it must be a list"),
        ("[grid]\nseeds = [1, 0]", 2, "There must be at least one"),
        ('[grid]\nseedz = [1]', 2, "Did you mean seed?"),
        ("[[override]]\nwhere = {}\nsets = {}", 1, "Give both"),
        ("[[override]]\nwhere = { seed = 0 }\nset = { stepz = 3 }", 3, "Did you mean steps?"),
        ('primary = ["gravity"]', 1, "Allowed are control,"),
        ('primary = ["controll"]', 1, "Did you mean control?"),
        ('primary = ["linear_region: lines"]', 1, "Did you mean linear_region: line?"),
        ('[grid]\nseed = [0, 1]\n[[override]]\nset = { limit = 3 }\nwhere = { seed = 7 }', 5, "No cell has seed = 7."),
        ("[[grid]]\nseed = [0]\n[[grid]]\nseed = [1, 1]", 3, "with seed = 1 is the same study as an earlier one, with seed = 1."),
        ("[grid]\nseed = [0, 1]\n[[override]]\nwhere = { seed = 1 }\nset = { seed = 0 }", 1, "is the same study"),
        ('[grid]\nextend = ["a.py"]', 2, "Name them in [defaults]"),
        ("[grid]\njobs = [1, 2]", 2, "Pass --jobs instead"),
        # Each is refused without the other, and that is not what is wrong here.
        ('[defaults]\nask_for = "{query}"\nask_against = "no"\nseeds = 2', 3, "does not say where the query stands"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_plan_is_one_sentence_with_its_line(tmp_path, text, line, words):
    with pytest.raises(InputError, match=re.escape(words)) as error:
        plan_of(tmp_path, text)
    assert f"plan.toml', line {line}:" in str(error.value) and " … " not in str(error.value)


@pytest.mark.parametrize("read", [read_settings, read_plan])
@pytest.mark.parametrize("text", ["", "# nothing yet"])
def test_a_file_that_says_nothing_starts_no_study(tmp_path, read, text):
    with pytest.raises(InputError, match="empty.toml' holds no settings"):
        read(write(tmp_path / "empty.toml", text))


def test_how_a_study_is_run_is_no_part_of_a_file():
    how = {item.name for item in dataclasses.fields(Settings)} - KINDS.keys()
    assert how == {"store", "jobs", "retry"}
