"""Findings: a page whose marked sections are written from a campaign, and whose other words are its author's."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import drawn_campaign
import drawn_study
import numpy as np
import pandas as pd
import pytest
from worlds import manifold

import mechsteer as ms
from analyses.campaigns.campaign import Campaign
from analyses.campaigns.numbers import keep_numbers
from analyses.campaigns.plan import read_plan
from analyses.claims import CLAIMS
from analyses.evidence.evidence import LayerActivations
from analyses.evidence.layers import AS_IS, UNIT, by_layer
from analyses.studies.finished import Study
from analyses.studies.layers import layers_of
from figures.campaigns import short
from figures.findings import (
    MARKED,
    SECTIONS,
    completions,
    data,
    formats,
    geometry,
    judged,
    mechanism,
    order,
    regions,
    sensitivity,
    undecided,
    write_findings,
)
from figures.findings.curves import told, where
from figures.findings.found import Cell, Found, interval, table
from figures.findings.methods import _at_one
from mechsteer import InputError
from mechsteer.statistics.intervals import SeedsEstimate
from mechsteer.store.keys import Key, labelled

DOCS = Path(__file__).parents[1] / "docs"
INTERVAL = re.compile(r"(?:(-?\d[\d.]*)(?:,?\s+nats|\s+times)?\s+)?\[(-?\d+\.\d+), (-?\d+\.\d+)\]")
"""With the estimate before it, where there is one."""


@pytest.fixture(scope="module")
def campaign(tmp_path_factory, small_study):
    """Drawn claims; one finished cell has a study's folder."""
    campaign = drawn_campaign.write(tmp_path_factory.mktemp("campaign") / "out", primary=("control",))
    for cell in campaign.cells:
        if cell["state"] == "done":
            shutil.copytree(small_study, campaign.folder / cell["name"])
    return campaign


def test_a_new_page_has_every_section_and_its_pictures_lie_beside_it(campaign, tmp_path):
    page = write_findings(campaign, tmp_path / "found.md")
    text = page.read_text()
    assert {match["name"] for match in MARKED.finditer(text)} == set(SECTIONS.members())
    assert text.count(f"Plan `{campaign.said['plan']}`.") == len(SECTIONS.members())
    shown = re.findall(r"!\[[^]]+\]\((.+?)\)", text)
    assert shown and all((tmp_path / name).is_file() for name in shown)


def test_what_stands_outside_the_marks_stays_and_what_stands_inside_is_written_anew(campaign, tmp_path):
    page = tmp_path / "found.md"
    page.write_text("Ours.\n<!-- curves -->\nstale\n<!-- end of curves -->\nOurs too.\n")
    write_findings(campaign, page)
    text = page.read_text()
    assert text.startswith("Ours.\n") and text.endswith("Ours too.\n") and "stale" not in text and "R²" in text
    before = page.read_bytes()
    assert write_findings(campaign, page).read_bytes() == before


def test_a_section_that_names_a_campaign_is_written_by_it_alone(campaign, tmp_path):
    page, name = tmp_path / "found.md", campaign.said["name"]
    theirs = "<!-- curves: another -->\nof another campaign\n<!-- end of curves -->\n"
    page.write_text(f"{theirs}<!-- methods -->\nstale\n<!-- end of methods -->\n")
    text = write_findings(campaign, page).read_text()
    assert text.startswith(theirs) and "<!-- methods -->\n" in text and "stale" not in text
    of_any = "<!-- methods -->\nof any\n<!-- end of methods -->\n"
    page.write_text(f"{theirs}{of_any}<!-- curves: {name} -->\n<!-- end of curves -->\n")
    text = write_findings(campaign, page).read_text()
    assert text.startswith(theirs) and of_any in text and "R²" in text
    page.write_text(theirs)
    with pytest.raises(InputError, match=f"name the campaign in one that is marked: <!-- verdicts: {name} -->"):
        write_findings(campaign, page)
    assert page.read_text() == theirs


def test_judged_texts_are_told_by_method_by_rival_and_by_judge(tmp_path):
    study = Study.load(drawn_study.write(tmp_path / "study"))
    key = drawn_study.STEERS[-1].without("seed")
    scores = pd.DataFrame({
        "place": ["m = 0", "m = 1", "equal utility", "best multiplier"], "multiplier": [0.0, 1.0, 0.4, 1.5], "n_seeds": 3,
        "value": [0.25, 0.5, 0.375, 0.5], "low": [0.2, 0.4, 0.3, 0.25], "high": [0.3, 0.6, 0.4, 0.75], "n_queries": 24,
    })  # fmt: skip
    labelled(scores, key).to_parquet(study.folder / "claims/judged_wins-scores.parquet")
    rows = [
        {"judge": "rules", "about": "", "aspect": role, "role": role, "multiplier": m, "mean": mean, "n_texts": 24, "n_failed": 6,
         "named": 0.125 * m, **dict.fromkeys(("preference", "utility_lost", "low", "high", "worst", "best"), 0.0)}
        for role, means in (("concept", {0.0: 0.25, 2.0: 0.75}), ("coherence", {0.0: 1.0, 2.0: 0.5})) for m, mean in means.items()
    ]  # fmt: skip
    labelled(pd.DataFrame(rows), drawn_study.STEERS[-1]).to_parquet(study.folder / "judged.parquet")
    study.wrote([study.folder / "judged.parquet", study.folder / "claims/judged_wins-scores.parquet"])
    cell = Cell("cell", "garden", "tulips", "", Study.load(study.folder))
    assert judged._scores(cell) == [{
        "model": "garden", "pairs": "tulips", "method": "SPLIT", "form": "LoRA", "m = 0": "0.25 [0.20, 0.30]",
        "m = 1": "0.50 [0.40, 0.60]", "equal utility": "0.38 [0.30, 0.40], m = 0.40",
        "best multiplier": "0.50 [0.25, 0.75], m = 1.50", "seeds": "3",
    }]  # fmt: skip
    (row,) = judged._judges(cell)
    assert (row["concept at m = 0"], row["concept at m = 1"], row["coherence at m = 1"]) == ("0.25", "0.50", "0.75")
    assert row["concept at its highest"] == "0.75, m = 2"
    assert (row["names it at m = 1"], row["no score"]) == ("0.12", "0.25")
    (tmp_path / "bare").mkdir()
    bare = Cell("cell", "garden", "tulips", "", Study.load(drawn_study.write(tmp_path / "bare/study")))
    assert judged._judges(bare) == judged._scores(bare) == []


def test_a_page_without_marks_and_one_with_unknown_marks_are_left_as_they_are(campaign, tmp_path):
    for text, said in (
        ("Ours.\n", "no marked section"),
        ("<!-- cats -->\n<!-- end of cats -->\n", "'cats' is unknown"),
    ):
        page = tmp_path / "found.md"
        page.write_text(text)
        with pytest.raises(InputError, match=said):
            write_findings(campaign, page)
        assert page.read_text() == text


def test_pictures_of_campaigns_that_share_a_page_have_names_and_captions_of_their_own(campaign, tmp_path):
    page = tmp_path / "found.md"
    page.write_text("<!-- claims -->\n<!-- end of claims -->\n")
    write_findings(campaign, page)
    other = replace(campaign, said=campaign.said | {"name": "Taught, longer"})
    page.write_text(page.read_text() + "<!-- claims: Taught, longer -->\n<!-- end of claims -->\n")
    write_findings(other, page)
    assert {path.name for path in (tmp_path / "found").iterdir()} == {"claims.png", "taught-longer-claims.png"}
    shown = [line for line in page.read_text().split("\n\n") if line.startswith("*Every claim")]
    assert len(shown) == 2 and all("A white mark stands where all steers of a study agree" in line for line in shown)


def test_a_section_that_fails_leaves_the_page_and_its_pictures_as_they_were(campaign, tmp_path, monkeypatch):
    page = tmp_path / "found.md"
    page.write_text("<!-- claims -->\n<!-- end of claims -->\n<!-- undecided -->\n<!-- end of undecided -->\n")
    monkeypatch.setattr(undecided, "write", Mock(side_effect=InputError("a study is damaged")))
    with pytest.raises(InputError, match="damaged"):
        write_findings(campaign, page)
    assert not (tmp_path / "found").exists() and "Plan" not in page.read_text()


def test_the_guide_names_every_section():
    rows = re.findall(r"^\| (`.*?`) \|", (DOCS / "howto/findings.md").read_text(), flags=re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(SECTIONS.members())


@pytest.mark.slow
def test_pictures_that_the_page_did_not_show_between_its_marks_are_left_alone(campaign, tmp_path):
    (tmp_path / "found").mkdir()
    (tmp_path / "found/mine.png").write_bytes(b"mine")
    page = write_findings(campaign, tmp_path / "found.md")
    assert (tmp_path / "found/mine.png").is_file() and (tmp_path / "found/claims.png").is_file()
    page.write_text(re.sub(r"<!-- claims -->.*<!-- end of claims -->", lambda m: m[0].replace("claims.png", "old.png"),
                           page.read_text(), flags=re.DOTALL))  # fmt: skip
    (tmp_path / "found/old.png").write_bytes(b"of an earlier campaign")
    write_findings(campaign, page)
    assert {path.name for path in (tmp_path / "found").glob("[mo]*.png")} == {"mine.png"}


def test_a_mark_without_its_end_and_a_page_without_a_suffix_are_refused(campaign, tmp_path):
    page = tmp_path / "found.md"
    page.write_text("<!-- curves -->\nold\n<!-- claims -->\n<!-- end of claims -->\n")
    with pytest.raises(InputError, match="<!-- curves --> without <!-- end of curves -->"):
        write_findings(campaign, page)
    with pytest.raises(InputError, match=r"Call it found\.md"):
        write_findings(campaign, tmp_path / "found")


@pytest.mark.slow
def test_numbers_alone_draw_the_same_page_and_hold_no_words_steers_or_pictures(campaign, tmp_path, mechsteer):
    written = next(campaign.folder.rglob("study.json")).parent / "texts.parquet"
    pd.DataFrame({"multiplier": [0.0], "query": ["how was it ?"], "text": ["good"]}).to_parquet(written)
    Study.load(written.parent).wrote([written])
    code, told, error = mechsteer(
        "findings", campaign.folder, "--page", tmp_path / "found.md", "--numbers", tmp_path / "kept"
    )
    assert code == 0 and "Its numbers are in" in told, error
    page = write_findings(Campaign.load(tmp_path / "kept"), tmp_path / "again" / "found.md")
    assert page.read_bytes() == (tmp_path / "found.md").read_bytes()
    pictures = sorted((tmp_path / "found").glob("*.png"))
    assert pictures and [path.read_bytes() for path in pictures] == [
        path.read_bytes() for path in sorted((tmp_path / "again/found").glob("*.png"))
    ]
    kept = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert {path.suffix for path in kept} == {".json", ".parquet", ""}
    assert any(path.name == "frontier.parquet" for path in kept)
    pairs = ms.load_pairs(next(campaign.folder.rglob("pairs.jsonl")))
    words = {text for pair in pairs for text in (pair.query, pair.positive, pair.negative)}
    tables = [pd.read_parquet(path) for path in kept if path.suffix == ".parquet"]
    assert not any(words & {*table.astype(str).to_numpy().ravel()} for table in tables)
    assert not any(path.name == "texts.parquet" for path in kept)
    with pytest.raises(InputError, match="campaign's own folder"):
        keep_numbers(campaign, campaign.folder)
    shutil.copytree(campaign.folder, tmp_path / "whole")
    with pytest.raises(InputError, match="which is none of a campaign's numbers"):
        keep_numbers(campaign, tmp_path / "whole")


def test_gains_at_m_1_are_those_of_the_sweep_and_none_where_it_was_not_swept(small_study):
    sweep = Study.load(small_study).sweeps[0]
    assert _at_one(sweep) is None
    # Its ends are called ±1, and so lie the rest.
    renamed = replace(sweep, multipliers=sweep.multipliers / sweep.multipliers[-1])
    gained, lost = _at_one(renamed) or (np.nan, np.nan)
    assert gained == pytest.approx((sweep.preference[-1] - sweep.preference[0]).mean() / 2)
    assert lost == pytest.approx(sweep.lost[[0, -1]].mean())


def moving(share: float, slopes: list[float], curved: float = 0.0) -> list[ms.Sweep]:
    """Of one seed for each slope: sweeps in which the concept's completion takes this share of every nat of preference."""
    m, n = np.array([-2.0, -0.5, 0, 0.5, 1]), 12
    start = np.linspace(15, 25, n)
    both, counts = curved * m[:, None] ** 2, np.full(n, 6)
    return [
        ms.Sweep(
            m, tuple(map(str, range(n))), start - share * slope * m[:, None] + both,
            start + (1 - share) * slope * m[:, None] + both, counts, counts, np.abs(m)[:, None] * np.ones(n),
            Key(method="RePS", form="vector", sites="1:mlp.out", seed=seed),
        )
        for seed, slope in enumerate(slopes)
    ]  # fmt: skip


def moved(*of) -> tuple[SeedsEstimate, SeedsEstimate, SeedsEstimate]:
    found = completions.moved(*of)
    assert found is not None
    return found


@pytest.mark.parametrize("share", [-0.3, 0.0, 0.5, 1.4])
def test_the_share_of_the_concepts_completion_is_that_of_its_loss_whatever_both_lose_alike(share):
    seeds = moving(share, [2.0, 3.0, 0.01], curved=4.0)
    assert completions.smallest(seeds[0].multipliers) == 0.5
    gained, by_concept, utility = moved(seeds, 0.5)
    assert gained.estimate == pytest.approx(np.mean([2.0, 3.0, 0.01]) / 2)
    # A seed that gains next to nothing has the same share as the others, so nothing scatters.
    assert (by_concept.estimate, by_concept.error) == pytest.approx((share, 0), abs=1e-9)
    # The likelier completion gives utility, and here both are alike: half of what both change together, nearly.
    assert utility.estimate == pytest.approx(share - 0.5, abs=0.02)


def test_seeds_that_disagree_make_the_share_uncertain_and_one_that_gains_nothing_does_not_blow_it_up():
    # Shares of 0 and 1 of two nats each; a third seed moves the concept's completion and gains nothing.
    seeds = [*moving(0.0, [2.0]), *moving(1.0, [2.0])]
    _, disagreed, _ = moved(seeds, 0.5)
    assert disagreed.estimate == pytest.approx(0.5)
    assert disagreed.error == pytest.approx(0.5)
    _, still, _ = moved([*seeds, *moving(1.0, [1e-6])], 0.5)
    assert still.interval().high < 3


def test_nothing_is_shared_out_where_nothing_is_gained_or_one_side_was_swept():
    assert np.isnan(completions.smallest(np.array([0.0, 1, 2])))
    assert moved(moving(0.5, [1.0, -1.0, 0.5]), 0.5)[0].interval().low < 0
    # Two answers that take all probability between them have no utility.
    (sweep,) = moving(0.5, [1.0])
    nothing = np.zeros_like(sweep.loss_positive)
    assert completions.moved([replace(sweep, loss_positive=nothing, loss_negative=nothing)], 0.5) is None


def test_a_curve_worse_than_a_constant_and_a_loss_that_is_none_are_dashes(small_study):
    sweep = Study.load(small_study).sweeps[0]
    assert [told(score) for score in (0.983, -105.15, None)] == ["0.98", "–", "–"]
    ends = {"half_lost_negative": {"estimate": 0.0}, "half_lost_positive": {"estimate": sweep.multipliers[-1]}}
    assert where(sweep, ends, "half_lost") == f"–, {sweep.relative_shift[-1].mean():.2g}"


def test_half_of_what_is_lost_is_half_the_way_from_the_highest_utility_to_the_lowest_of_each_side(small_study):
    sweep = Study.load(small_study).sweeps[0]
    means = sweep.utility.mean(axis=1)
    low, high = regions.half_lost(sweep)
    assert 2 * low == pytest.approx(means.max() - means[sweep.multipliers <= 0].min())
    assert 2 * high == pytest.approx(means.max() - means[sweep.multipliers >= 0].min())


def test_methods_stand_in_the_order_of_what_they_gain_and_the_papers_beside_only_for_those_that_a_cell_has(tmp_path):
    assert order.in_order({"SFT": 100, "RePS": 99, "SPLIT": 100}) == "SFT = SPLIT > RePS"
    assert order.in_order({"SFT": 97, "DiffMean": 53, "SPLIT": 99}, among={"SFT": 0, "SPLIT": 0}) == "SPLIT > SFT"
    assert order.in_order({"SFT": 1.0, "SPLIT": float("nan")}) == "–"
    study = Study.load(drawn_study.write(tmp_path / "study"))
    rows = order._of_cell(Cell("cell", "garden", "mood/train", "", study))
    assert rows[0] == {"model": "garden", "pairs": "mood/train", "form": "vector", "at m = 1": rows[0]["at m = 1"],
                       "at equal loss": "SFT > Random > DiffMean", "the paper's": "–"}  # fmt: skip
    assert rows[1]["form"] == "LoRA" and rows[1]["at equal loss"] == "SPLIT > SFT"
    assert rows[1]["the paper's"] == "SPLIT > SFT (AxBench, harmonic mean)"
    (asked,) = (
        row for row in order._of_cell(Cell("cell", "garden", "psychopathy", "", study)) if row["form"] == "LoRA"
    )
    assert asked["the paper's"] == "SFT = SPLIT (Psychopathy, accuracy)"


def test_the_mechanism_has_every_claim_of_it_in_every_cell_with_transfer_among_them(tmp_path):
    rows = [
        {"cell": "a", "model": "garden", "concept": "mood", "condition": "", "claim": "transfer", "part": part, "method": "SFT",
         "form": "lora", "against": "", "estimate": 0.9, "low": 0.8, "high": 0.95, "unit": "R²", "outcome": "supported"}
        for part in ("preference", "utility, shape")
    ]  # fmt: skip
    assert mechanism.of_claim(pd.DataFrame(rows)) == [{
        "model": "garden", "pairs": "mood", "about": "SFT LoRA",
        "Preference curves of learning pairs predict test pairs": "0.90 [0.80, 0.95] R²: supported",
        "Utility curves transfer in shape": "0.90 [0.80, 0.95] R²: supported",
    }]  # fmt: skip
    themes = {name for name, claim in CLAIMS.members().items() if claim.get("THEME") == "mechanism"}
    assert themes - {"activation_map", "one_operation"} <= set(mechanism.SHOWN)


def test_curves_are_held_against_another_prompt_formats_means_where_nothing_else_differs(tmp_path):
    study = Study.load(drawn_study.write(tmp_path / "study"))
    asked = {"format": "raw", "steps": None}
    raw, chat, other = (
        Cell(name, "m", "p", condition, replace(study, summary=study.summary | {"settings": asked | changed}))
        for name, condition, changed in (("raw", "", {}), ("chat", "format chat", {"format": "chat"}),
                                         ("other", "steps 5", {"format": "chat", "steps": 5}))
    )  # fmt: skip
    assert formats.between((raw, chat, other)) == [(raw, chat)]
    rows = formats._carried(raw, chat)
    assert [(row["from"], row["to"]) for row in rows[:: len(rows) // 2]] == [("raw", "chat"), ("chat", "raw")]
    key = study.sweeps[0].key
    for quantity, curve in drawn_study.CURVES.items():
        means = getattr(study.sweeps[0], quantity).mean(axis=1)
        apart = ((means - curve(drawn_study.M)) ** 2).sum() / ((means - means.mean()) ** 2).sum()
        as_is, shape = formats.scores(raw, key, chat, key, quantity)
        assert as_is == pytest.approx(1 - apart) and as_is <= shape <= 1


def test_pairs_are_counted_that_clear_a_bound_and_none_where_the_interval_is_clear_of_it():
    # Half as far from the bound as the interval reaches: four times as many pairs halve it.
    assert undecided.times_as_many(0.5, -0.5, 1.5, (0.0,)) == pytest.approx(4)
    assert undecided.times_as_many(-0.5, -1.5, 0.5, (0.0,)) == pytest.approx(4)
    assert undecided.times_as_many(0.5, 0.4, 0.6, (0.0,)) is None and undecided.times_as_many(0.5, -1, 2, ()) is None
    assert (
        undecided.times_as_many(np.nan, -1, 1, (0.0,)) is None and undecided.times_as_many(0, -1, 1, (0.0,)) == np.inf
    )
    both = (0.0, 0.3)
    assert undecided.times_as_many(0.2, -0.2, 0.6, both, either=True) == pytest.approx(4)
    assert undecided.times_as_many(0.2, -0.2, 0.6, both) == pytest.approx(16)
    # Holm's strictest of ten tests asks for 2.81 standard errors instead of 1.96.
    assert undecided.times_as_many(0.5, -0.5, 1.5, (0.0,), 10) == pytest.approx(4 * (2.807 / 1.96) ** 2, rel=1e-3)


def test_the_layers_of_a_study_are_those_of_its_evidence_and_are_drawn_and_told(tmp_path):
    study = Study.load(drawn_study.write(tmp_path / "study"))
    cell = Cell("cell", "garden", "tulips", "", study)
    assert layers_of(study) == {} and geometry.by_layer.draw(study) is None and geometry._rows(cell) == []
    carried_off().save(study.folder / "evidence" / "one.npz")
    tables = layers_of(study)
    first, second = geometry._rows(cell)
    assert first["where it enters"].startswith("0.00 [") and first["at its largest"].startswith(
        "1.00 [1.00, 1.00] (layer 1)"
    )
    assert second["activations"] == "coordinates at unit variance"
    assert geometry.by_layer.draw(study) is not None
    for name, kept in tables.items():
        kept.to_parquet(study.folder / f"{name}.parquet")
    (study.folder / "evidence" / "one.npz").unlink()
    assert {name: kept.to_dict() for name, kept in layers_of(study).items()} == {
        name: kept.to_dict() for name, kept in tables.items()
    }


def carried_off(scale: float = 1.0):
    """A shift within the leading components where it enters and off them a layer later; one other coordinate is scaled."""
    evidence, rng = manifold.make(0), np.random.default_rng(0)
    sizes = np.full(manifold.D, 0.01)
    sizes[:4] = 1.0
    sizes[5] *= scale
    learning, base = (rng.normal(size=(n, manifold.D)) * sizes for n in (400, len(evidence.token_pair)))
    by = np.eye(manifold.D)[[0, 9]]
    steered = [base + evidence.multipliers[:, None, None] * direction for direction in by]
    layers = {layer: LayerActivations(learning, base, some) for layer, some in enumerate(steered)}
    return replace(evidence, layers=layers)


def test_a_shift_that_is_carried_off_the_leading_components_is_seen_where_it_is():
    tables = by_layer(carried_off())
    shift = tables["layers-shift"].set_index(["view", "layer"])
    assert (shift.loc[(AS_IS, 0), "off"] < 1e-3).all() and (shift.loc[(AS_IS, 1), "off"] > 0.999).all()
    assert (shift.loc[(AS_IS, 0), "n_leading"] == 4).all() and shift.loc[(AS_IS, 0), "enters"].all()
    shares = tables["layers-spectrum"].query("layer == 0 and view == @AS_IS")
    assert shares.share.sum() == pytest.approx(1) and (np.diff(shares.share) <= 0).all()
    # What a coordinate is measured in says nothing once all have unit variance.
    again = by_layer(carried_off(scale=1000.0))["layers-shift"].set_index(["view", "layer"])
    np.testing.assert_allclose(again.loc[UNIT, "off"], shift.loc[UNIT, "off"], atol=1e-6)
    assert (again.loc[(AS_IS, 0), "n_leading"] == 1).all()


def test_the_plan_of_sensitivity_differs_in_one_thing_each_and_a_rounded_copy_counts_as_a_condition():
    cells = read_plan(DOCS / "sensitivity.toml").cells
    usual = cells[0].settings.to_dict()
    differ = [
        {name for name, value in cell.settings.to_dict().items() if value != usual[name]} for cell in cells[1:]
    ]  # fmt: skip
    assert sorted(differ, key=str) == [{"dtype"}, {"format"}, {"model"}]
    names = short(cell.settings.model for cell in cells)
    claims = pd.DataFrame(
        {"model": [names[cell.settings.model] for cell in cells], "condition": [c.condition for c in cells]}
    )
    told = sensitivity.rounding_as_condition(claims)
    assert set(told.model) == {"SmolLM2-135M-Instruct.Q4_1"}
    assert sorted(told.condition) == ["", "dtype bfloat16", "format chat", "weights rounded once more (Q4_0)"]


def test_verdicts_stand_beside_those_of_other_conditions_and_what_turned_is_counted():
    def claim(name: str, condition: str, outcome: str) -> dict:
        place = {"method": "SFT", "form": "vector", "against": "", "model": "m", "concept": "p", "unit": "nats"}
        return place | {
            "name": name,
            "condition": condition,
            "outcome": outcome,
            "estimate": 1.0,
            "low": 0.0,
            "high": 2.0,
        }

    outcomes = {
        "kept": ("supported", "supported"), "lost": ("refuted", "inconclusive"), "won": ("inconclusive", "supported"),
        "reversed": ("supported", "refuted"), "open": ("inconclusive", "inconclusive"),
    }  # fmt: skip
    claims = [
        claim(name, where, one)
        for name, both in outcomes.items()
        for where, one in zip(("", "seed 1"), both, strict=True)
    ]
    told = sensitivity.write(Mock(spec=Found, claims=pd.DataFrame(claims)))
    assert "| kept |" in told and "| open |" not in told
    assert (
        "| lost | SFT vector | m | p | nats | **refuted**: 1.00 [0.00, 2.00] | undecided: 1.00 [0.00, 2.00] |" in told
    )
    assert "seed 1: 1 no longer decided, 1 decided only there, 1 reversed" in told
    assert "none is decided" in sensitivity.write(Mock(spec=Found, claims=pd.DataFrame(claims[-2:])))
    # What was not judged there was not turned there.
    told = sensitivity.write(Mock(spec=Found, claims=pd.DataFrame([*claims, claim("alone", "", "supported")])))
    assert "| alone | SFT vector | m | p | nats | **supported**: 1.00 [0.00, 2.00] | – |" in told
    assert "seed 1: 1 no longer decided" in told
    assert "nothing is compared" in sensitivity.write(Mock(spec=Found, claims=pd.DataFrame(claims[::2])))


def test_data_says_which_pairs_were_matched(small_study):
    study = Study.load(small_study)
    cell = Cell("cell", "m", "p", "", study)
    assert (
        data.matched(cell) == "none" and study.summary["pairs"]["testing"]["fingerprint"] in data._row(cell)["measured"]
    )
    told = {"kind": "matched", "found": "3 of 9 pairs are matched.", "advice": "", "refused": False}
    matched = replace(study, summary=study.summary | {"findings": [told]})
    assert data.matched(replace(cell, study=matched)) == "3 of 9 pairs are matched."


def test_the_page_of_real_models_is_what_the_command_writes_from_its_numbers(tmp_path):
    shutil.copy(DOCS / "findings.md", tmp_path)
    for numbers in ("numbers", "judged", "taught", "sensitivity"):
        page = write_findings(Campaign.load(DOCS / "findings" / numbers), tmp_path / "findings.md")
    assert page.read_text(encoding="utf-8") == (DOCS / "findings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["docs/findings.md", "README.md"])
def test_intervals_in_the_text_stand_in_the_tables_with_their_estimates(page):
    def turned(number: str) -> str:
        return number.removeprefix("-") if number.startswith("-") else f"-{number}"

    findings = (DOCS / "findings.md").read_text(encoding="utf-8")
    told = {found for section in MARKED.finditer(findings) for found in INTERVAL.findall(section["old"])}
    # Of a difference the other way round; and an interval whose estimate stands elsewhere in the sentence.
    told |= {(turned(estimate), turned(high), turned(low)) for estimate, low, high in told}
    told |= {("", low, high) for _, low, high in told}
    text = MARKED.sub("", (DOCS.parent / page).read_text(encoding="utf-8"))
    if page == "README.md":
        text = text[text.index("On the paper's own data") : text.index("[Quick start]")]
    assert (said := set(INTERVAL.findall(text))) and said <= told, said - told


def test_models_and_pairs_are_called_by_as_few_folders_as_tell_them_apart():
    assert short(["$D/mood/train.jsonl", "$D/outdoors/train.jsonl", "$D/traits.jsonl", "guestbook"]) == {
        "$D/mood/train.jsonl": "mood/train", "$D/outdoors/train.jsonl": "outdoors/train", "$D/traits.jsonl": "traits",
        "guestbook": "guestbook",
    }  # fmt: skip
    assert short(["$D/axbench/train.parquet#5"]) == {"$D/axbench/train.parquet#5": "train-5"}
    assert short(["a/x.csv", "a/x.jsonl"]) == {"a/x.csv": "a/x.csv", "a/x.jsonl": "a/x.jsonl"}


def test_tables_keep_a_pipe_within_its_cell_and_what_is_unknown_is_a_dash():
    assert table([{"a": "x|y", "n": "1.0"}, {"a": "z"}]).splitlines() == [
        "| a | n |", "| --- | ---: |", "| x\\|y | 1.0 |", "| z |  |",
    ]  # fmt: skip
    assert interval(None, 1, 2) == "–" and interval(1, 0, float("nan")) == "1.00 [0.00, –]"
