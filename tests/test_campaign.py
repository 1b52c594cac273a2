"""Campaigns: the same results whatever is run where, when and how often, and what is told of cells that are not done."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from drawn_campaign import write

import mechsteer as ms
from analyses.campaigns import in_process
from analyses.campaigns.campaign import Campaign, put_together
from analyses.campaigns.cell import Workplace
from analyses.campaigns.estimate import Estimate
from analyses.campaigns.judging import SAME, combined, corrected
from analyses.campaigns.numbers import keep_numbers
from analyses.campaigns.plan import CampaignPlan, Cell, read_plan
from analyses.campaigns.survey import survey, unfinished
from analyses.studies.opening import Models
from analyses.studies.settings import Settings
from analyses.studies.study import run
from analyses.units.costs import BESIDES, PASSES
from analyses.units.steers import Imported, PairSet
from figures.__main__ import write as draw
from figures.campaigns import forest, heat_map
from figures.drawing.panels import TALLEST
from figures.page.campaign import render
from mechsteer.store.store import Store
from mechsteer.store.units import Unit

SMALL = Settings(
    site="1:resid_post", multipliers="-8:8:5", methods=("DiffMean",), forms=("vector",), claims=(), panel=0, limit=24,
    device="cpu",
)  # fmt: skip
PLAN = CampaignPlan(
    "small", (), tuple(Cell(name, replace(SMALL, **said), "") for name, said in {
        "first": {}, "wider": {"multipliers": "-12:12:5"}, "broken": {"site": "9:resid_post"}, "other": {"seed": 1},
    }.items()),
)  # fmt: skip
"""The second takes up what the first has measured of the same steer."""
BROKEN = "The site 9:resid_post does not exist: guestbook has layers 0 to 3."
HOW_LONG = ("seconds", "campaign")


def done(plan: CampaignPlan, out: Path, **how) -> dict[str, str]:
    """Run it in a store of its own; why cells could not be finished, by their names."""
    place = Workplace(out, PLAN.id, str(out.parent / ".store"), report=lambda line: None, **how)
    reasons = {cell.name: reason for cell, reason in in_process.run_cells(plan, place)}
    put_together(PLAN, out)
    return reasons


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, without what says how long it took."""
    found = {}
    for path in sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name not in ("SHA256SUMS", ".lock")
    ):
        data = path.read_bytes()
        if path.name == "study.json":
            data = json.dumps(
                {name: value for name, value in json.loads(data).items() if name not in HOW_LONG}
            ).encode()
        found[path.relative_to(folder).as_posix()] = data
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The campaign, run once without a break."""
    out = tmp_path_factory.mktemp("whole") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ms, "load_model", Mock(wraps=ms.load_model))
        assert done(PLAN, out) == {"first": "", "wider": "", "broken": BROKEN, "other": ""}
        # Four cells of one model open it once.
        assert ms.load_model.call_count == 1
    return out


@pytest.mark.slow
def test_a_cell_is_the_study_that_its_settings_say(whole, tmp_path):
    run(replace(SMALL, seed=1), tmp_path / "study", report=lambda line: None)
    assert contents(whole / "other") == contents(tmp_path / "study")


def test_every_result_says_which_plan_it_is_of_and_a_failed_cell_why(whole):
    for name in ("first/study.json", "wider/study.json", "other/study.json"):
        assert json.loads((whole / name).read_text())["campaign"] == PLAN.id
    said = json.loads((whole / "campaign.json").read_text())
    assert said["plan"] == PLAN.id and {cell["name"]: cell["reason"] for cell in said["cells"]}["broken"] == BROKEN
    assert {cell["name"]: cell["state"] for cell in said["cells"]} == {
        "first": "done", "wider": "done", "broken": "failed", "other": "done",
    }  # fmt: skip


@pytest.mark.slow
def test_shards_in_any_order_leave_the_bytes_of_one_process(whole, tmp_path):
    for number in (3, 1, 2):
        done(PLAN.shard(number, 3), tmp_path / "out")
    assert contents(tmp_path / "out") == contents(whole)


@pytest.mark.slow
def test_a_campaign_that_is_cut_short_goes_on_to_the_same_bytes(whole, tmp_path, monkeypatch):
    from analyses.units.sweeps import Fit, Measure

    for kind, at in ((Measure, 2), (Fit, 2)):
        computed, calls = kind.compute, []

        def cut(self, bench, computed=computed, calls=calls, at=at):
            calls.append(self)
            if len(calls) == at:
                raise KeyboardInterrupt
            return computed(self, bench)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(kind, "compute", cut)
            done(PLAN, tmp_path / "out")
    # So is left what a process was writing that was killed.
    (tmp_path / "out/.claims.1.partial.parquet").touch()
    done(PLAN, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(whole)


def test_what_is_done_is_not_done_again(whole, monkeypatch):
    monkeypatch.setattr(ms, "load_model", Mock())
    before, kept = contents(whole), {record.key for record in Store(whole.parent / ".store").records()}
    assert done(PLAN, whole)["broken"] == BROKEN and not ms.load_model.called
    assert contents(whole) == before and {record.key for record in Store(whole.parent / ".store").records()} == kept


def test_a_campaign_goes_on_from_its_numbers_where_its_studies_and_store_are_lost(whole, tmp_path):
    out = keep_numbers(Campaign.load(whole), tmp_path / "out")
    (numbers := out / "other").rename(tmp_path / "lost")
    before = contents(out)
    assert done(PLAN, out) == {"first": "", "wider": "", "broken": BROKEN, "other": ""}
    assert {name: data for name, data in contents(out).items() if name in before} == before
    # The lost one alone is done again, whole.
    assert contents(numbers) == contents(whole / "other") and not (out / "first/pairs.jsonl").exists()
    units = json.loads((numbers / "study.json").read_text())["units"]
    measured = {record.key for record in Store(tmp_path / ".store").records() if record.kind == "sweep"}
    assert measured and measured <= set(units)


def test_finished_cells_are_not_looked_at_where_only_missing_ones_are_asked_for(whole, tmp_path):
    out = keep_numbers(Campaign.load(whole), tmp_path / "out")
    assert [cell.name for cell in unfinished(PLAN, out).cells] == ["broken"]
    (out / "other").rename(tmp_path / "lost")
    missing = unfinished(PLAN.shard(1, 1), out)
    assert [cell.name for cell in missing.cells] == ["broken", "other"] and missing.id == PLAN.id
    other = replace(PLAN, primary=("control",))
    assert [cell.name for cell in unfinished(other, out).cells] == [cell.name for cell in PLAN.cells]


def test_figures_of_a_campaign_without_claims_say_that_none_were_asked(whole):
    with pytest.raises(ms.InputError, match="No claims were asked"):
        draw("all", whole, None)


def test_what_a_campaign_s_studies_are_made_of_counts_as_used(whole):
    units = json.loads((whole / "other/study.json").read_text())["units"]
    assert set(units) <= Store(whole.parent / ".store").used_by(whole.parent)


def test_the_survey_counts_what_is_there_and_writes_nothing(whole, tmp_path):
    kept = Store(whole.parent / ".store")
    states = {state.cell.name: state for state in survey(PLAN, whole, kept)}
    assert {name: (state.state, len(state.missing)) for name, state in states.items()} == {
        "first": ("done", 0), "wider": ("done", 0), "broken": ("failed", len(states["broken"].missing)), "other": ("done", 0),
    }  # fmt: skip
    (state,) = survey(PLAN.shard(2, 2), whole, Store(tmp_path / "no store"), Models())
    assert (state.cell.name, state.state, state.missing) == ("other", "done", ()), "a share, whose store is gone"
    estimate = Estimate.of([state], Store(tmp_path / "no store"))
    assert estimate.seconds(state) == estimate.total([state]) == 0.0
    # Of a model that nobody has opened the units are not known, unless it may be.
    (state,) = survey(replace(PLAN, cells=PLAN.cells[:1]), tmp_path / "none", Store(tmp_path / "no store"))
    assert state.units is None and state.state == "missing"
    (state,) = survey(replace(PLAN, cells=PLAN.cells[:1]), tmp_path / "none", Store(tmp_path / "no store"), Models())
    assert state.units and len(state.missing) == len(state.units) == len(states["first"].units or ())
    assert estimate.seconds(state) is None and estimate.total([state]) is None, "nothing is known of its model"
    known = Estimate.of([*states.values()], kept)
    (taken,) = {known.costs.seconds(states["first"].units or ())}
    assert taken and known.total([states["first"], state]) == pytest.approx(taken), "as long as one that is done took"
    assert not list(tmp_path.iterdir())


PLAN_FILE = """
[defaults]
site = "1:resid_post"
multipliers = "-8:8:5"
methods = ["DiffMean"]
forms = ["vector"]
claims = []
panel = 0
limit = 24
device = "cpu"
"""


def test_dry_run_and_status_tell_of_cells_units_and_minutes(tmp_path, mechsteer, monkeypatch):
    (tmp_path / "plan.toml").write_text(PLAN_FILE)
    asked = ("campaign", tmp_path / "plan.toml", "--out", tmp_path / "out")
    code, said, _ = mechsteer(*asked, "--dry-run", "--json")
    dry = json.loads(said)
    assert code == 0 and dry["units_present"] == 0 and dry["units_missing"] == dry["cells"][0]["units"] > 8
    assert dry["seconds_left"] > 0 and not (tmp_path / "out").exists() and not (tmp_path / ".store").exists()
    code, said, _ = mechsteer(*asked, "--status")
    assert code == 0 and "1 missing" in said and "--dry-run opens it" in said
    share = json.loads(mechsteer(*asked, "--status", "--shard=1/2", "--json")[1])
    assert share["plan"] == dry["plan"] == read_plan(tmp_path / "plan.toml").id, (
        "a share has fewer cells, by the same plan"
    )
    (tmp_path / "plan.toml").write_text(PLAN_FILE.replace("1:resid_post", "9:resid_post"))
    code, said, _ = mechsteer(*asked, "--dry-run")
    assert code == 1 and "1 failed" in said
    monkeypatch.setattr("analyses.campaigns.survey.stamped", lambda folder: read_plan(tmp_path / "plan.toml").id)
    assert json.loads(mechsteer(*asked, "--dry-run", "--missing", "--json")[1])["cells"] == []
    code, _, error = mechsteer(*asked, "--shard=9/8")
    assert code == 2 and "from 1/8 to 8/8" in error


def test_every_kind_of_unit_that_is_computed_is_estimated():
    def below(kind: type) -> Iterator[type]:
        for member in kind.__subclasses__():
            yield member
            yield from below(member)

    units = {
        unit.kind for unit in below(Unit) if unit.__module__.startswith("analyses.units") and hasattr(unit, "kind")
    }
    # Pairs are given, and steers of files.
    assert units - {PairSet.kind, Imported.kind} == PASSES.keys() | BESIDES.keys()


def table(p_values: list[float], outcomes: list[str], names: list[str]) -> pd.DataFrame:
    because = ["So it is."] * len(names)
    return pd.DataFrame(
        {"raw_p_value": p_values, "raw_outcome": outcomes, "name": names, "claim": names, "because": because}
    )


def test_primary_claims_are_under_holm_and_the_rest_under_benjamini_and_hochberg():
    found = corrected(
        table([0.03, 0.03, 0.03, 0.03, np.nan], ["supported", "refuted", "supported", "refuted", "supported"], list("aabbb")),
        ["a"],
    )  # fmt: skip
    # Two primaries of 0.03 are 0.06 under Holm; as a share of false discoveries, 0.03.
    assert found.p_value[:4].tolist() == pytest.approx([0.06, 0.06, 0.03, 0.03])
    assert found.outcome.tolist() == ["inconclusive", "inconclusive", "supported", "refuted", "supported"]
    assert found.because[0] == "So it is. Corrected for 2 tests (Holm), p = 0.06 does not decide."
    assert found.because[2] == "So it is."


def test_what_a_test_left_undecided_counts_among_many():
    found = corrected(table([0.01, *[0.5] * 9, np.nan], ["supported", *["inconclusive"] * 10], ["a"] * 11), ["a"])
    assert found.p_value[0] == pytest.approx(0.1) and found.outcome[0] == "inconclusive"
    # A claim without enough power may have a small p of its own, and stands before nobody.
    found = corrected(table([0.02, 0.001], ["supported", "inconclusive"], ["a", "a"]), ["a"])
    assert found.p_value[0] == pytest.approx(0.04) and found.outcome[0] == "supported"


def test_a_study_s_own_correction_is_undone_in_words_too():
    alone = table([0.04], ["supported"], ["a"])
    alone["because"] = "So it is. Corrected for 13 tests (Holm), p = 0.33 does not decide."
    assert corrected(alone, []).because.tolist() == ["So it is."]
    rare = corrected(pd.concat([alone, table([0.9], ["refuted"], ["a"])], ignore_index=True), [])
    assert rare.because[0] == "So it is. Corrected for 2 tests (Benjamini and Hochberg), p = 0.08 does not decide."


def test_an_effect_of_one_cell_keeps_that_cells_interval():
    said = dict.fromkeys(SAME, "") | {"model": "m", "concept": "c", "outcome": "supported"}
    (row,) = combined(pd.DataFrame([said | {"estimate": 0.0, "low": 0.0, "high": 0.3}])).to_dict("records")
    assert (row["estimate"], row["low"], row["high"], row["over"], row["n_combined"]) == (0.0, 0.0, 0.3, "one cell", 1)


def test_the_page_shows_every_cell_links_to_its_study_and_needs_nothing_else(tmp_path):
    campaign = write(tmp_path / "drawn", primary=("linear_region: line",))
    assert "<a href" not in render(campaign).split("<tbody>")[1].split("</tbody>")[0]
    for cell in campaign.cells:
        if cell["state"] == "done":
            (campaign.folder / cell["name"]).mkdir()
            (campaign.folder / cell["name"] / "report.html").touch()
    page = render(campaign)
    assert "script" not in re.sub(r'content="[^"]*"', "", page) and "http" not in page.replace("http-equiv", "")
    for cell in campaign.cells:
        assert (f'{cell["name"]}/report.html"' in page) == (cell["state"] == "done")
    assert "The site 9:resid_post does not exist" in page and "inconclusive" in page
    n = (campaign.claims.outcome == "inconclusive").sum()
    assert f"{n} inconclusive" in page and "linear_region: line (primary)" in page


def test_a_page_of_many_cells_is_small(tmp_path):
    # A share of ten megabytes for two hundred.
    assert len(render(write(tmp_path / "large", 3, 5, 2)).encode()) < 10e6 * 30 / 200


def test_the_heat_map_and_a_forest_of_each_claim_are_drawn_from_their_numbers(tmp_path, monkeypatch):
    campaign = write(tmp_path / "drawn", 2, 2)
    saved = []
    monkeypatch.setattr("figures.drawing.style.save", lambda figure, path: saved.append((figure, path)) or [path])
    draw("all", tmp_path / "drawn", None)
    assert {path.stem for _, path in saved} >= {"heat_map", "forest-control", "forest-split_wins"}
    numbers = pd.read_csv(tmp_path / "drawn/figures/heat_map.csv")
    outcomes = numbers[["supported", "refuted", "inconclusive"]]
    assert outcomes.to_numpy().sum() == len(campaign.claims)
    rows = pd.read_csv(tmp_path / "drawn/figures/forest-split_wins.csv")
    assert set(numbers.plan) == set(rows.plan) == set(campaign.claims.plan) == {campaign.said["plan"]}
    assert (rows.row == "cell").sum() == (campaign.claims.name == "split_wins").sum() and len(saved) == 12


@pytest.mark.parametrize("module", [forest, heat_map], ids=["forest", "heat map"])
def test_a_campaigns_figure_of_many_rows_stands_on_a_page_and_no_words_lie_on_others(module, tmp_path, monkeypatch):
    campaign = write(tmp_path / "drawn", 2, 2)
    table = module.numbers(campaign)
    models = [f"a model {number}" for number in range(100)]
    many = (
        pd.concat([table.assign(model=model) for model in models])
        if "model" in table
        else table.sample(100, replace=True)
    )
    monkeypatch.setattr(module, "numbers", lambda *_: many.reset_index(drop=True))
    figure = module.draw(campaign)
    figure.canvas.draw()
    labels = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) >= 100 and figure.get_figheight() <= TALLEST
    assert all(above.y0 >= below.y1 - 1 for above, below in pairwise(labels))


@pytest.mark.slow
def test_a_campaign_that_is_interrupted_has_told_what_it_found(whole, tmp_path, mechsteer, undrawn, monkeypatch):
    (tmp_path / "plan.toml").write_text(f"{PLAN_FILE}[grid]\nseed = [0, 1]\n")
    run_cells = in_process.run_cells

    def stopped(plan: CampaignPlan, workplace: Workplace) -> Iterator[tuple[Cell, str]]:
        yield next(run_cells(plan, workplace))
        raise KeyboardInterrupt

    monkeypatch.setattr(in_process, "run_cells", stopped)
    asked = ("campaign", tmp_path / "plan.toml", "--out", tmp_path / "out", "--store", whole.parent / ".store")
    assert mechsteer(*asked)[0] == 130
    assert "1 done, 1 missing" in (tmp_path / "out/report.html").read_text()
    said = json.loads((tmp_path / "out/campaign.json").read_text())
    assert [cell["state"] for cell in said["cells"]] == ["done", "missing"]


@pytest.mark.slow
def test_a_cell_is_judged_as_its_plan_says_and_not_alone(whole, tmp_path, mechsteer, undrawn):
    """What `judge` added to a cell, the campaign would take away again when it is repeated."""
    plan, said = tmp_path / "plan.toml", f"{PLAN_FILE}queries = 3\nsamples = 1\n"
    plan.write_text(said)
    asked = ("campaign", plan, "--out", tmp_path / "out", "--store", whole.parent / ".store")
    assert mechsteer(*asked)[0] == 0
    (cell,) = (path.parent for path in (tmp_path / "out").glob("*/study.json"))
    before = contents(cell)
    code, told, error = mechsteer("judge", cell, "--store", whole.parent / ".store", "--judge", "exact")
    assert code == 2 and not told and "is a cell of a campaign" in error and "judge = ['exact']" in error
    assert contents(cell) == before and "1 done" in mechsteer(*asked, "--status")[1]
    plan.write_text(f'{said}judge = ["exact"]\n')
    for _ in range(2):
        assert mechsteer(*asked)[0] == 0
        assert (
            set(pd.read_parquet(cell / "judged.parquet").judge) == {"exact"}
            and "1 done" in mechsteer(*asked, "--status")[1]
        )
    # How much would be asked may be told of a cell too.
    assert mechsteer("judge", cell, "--store", whole.parent / ".store", "--dry-run")[0] == 0
