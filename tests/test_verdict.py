"""The verdict on studies whose story is known: at first sight, in the first lines at a terminal, and to programs."""

import html
import io
import json
import re
import shlex
import shutil
from contextlib import redirect_stdout
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import stories
from rich.console import Console
from stories import STORIES

from analyses.studies.finished import Study
from analyses.studies.measured import Measured
from analyses.studies.settings import Settings, read_multipliers
from analyses.verdict import verdicts_of
from figures.page.page import render
from mechsteer import cli
from mechsteer.cli import printing, summary


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The folder of a story's study, made once."""
    place, made = tmp_path_factory.mktemp("stories"), {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = stories.write(place / name.replace(" ", "-"), STORIES[name])
        return made[name]

    return folder


def at_a_terminal(content: dict, width: int = 100) -> list[str]:
    """The lines of a summary."""
    page = io.StringIO()
    console = Console(file=page, width=width, force_terminal=True, color_system=None, highlight=False)
    for block in summary.told(content):
        printing._print(console, block)
    return page.getvalue().splitlines()


@pytest.mark.parametrize("name", STORIES)
def test_each_story_is_told_rightly_in_the_first_twelve_lines_and_the_whole_fits_two_screens(name, told):
    story, content = STORIES[name], summary.read(told(name))
    lines = at_a_terminal(content)
    first = " ".join(" ".join(line.strip("│╭╮─ ") for line in lines[:12]).split())
    assert first.startswith(story.ended.upper()), first
    assert story.chief in first and len(lines) <= 48
    (verdict,) = content["verdicts"]
    assert verdict["ended"] == story.ended
    assert [reason["name"] for reason in verdict["reasons"][:1]] == ([story.chief] if story.chief else [])
    # Which number it rests on stands there, and what to do.
    assert (
        any(letter.isdigit() for letter in verdict["reasons"][0]["told"])
        if story.chief not in ("", "no control")
        else True
    )
    assert verdict["next"]["words"]


def test_ten_steers_fit_two_screens_of_80_columns(told):
    content = summary.read(told("it works by a checker too"))
    steers = [("DiffMean", "vector"), *product(("SFT", "RePS", "SPLIT"), ("vector", "lora", "local_weight"))]
    first = [row for row in content["frontier"] if row["form"] == "vector"]
    content["frontier"] = [row | {"method": method, "form": form} for method, form in steers for row in first]
    themes = ("control", "measurement", "preference_curve", "one_mechanism", "split_wins")
    content["claims"] = [
        content["claims"][0] | {"claim": claim, "is_check": check} for claim in themes for check in (0, 1)
    ]
    lines = at_a_terminal(content, 80)
    assert sum("local weight" in line for line in lines) == 3 and "split" in " ".join(lines).lower()
    assert len(lines) <= 48 and max(map(len, lines)) <= 80


def test_a_steer_that_does_not_pass_the_control_says_so_before_anything_else(told):
    for name, story in STORIES.items():
        if story.ended == "failed" and story.chief != "text invalid at moderate m":
            (verdict,) = verdicts_of(Study.load(told(name)))
            label, words = verdict.rows[0]
            # Where answers rule single pairs, their mean gain is as uncertain as chance.
            begun = "inconclusive for" if story.chief == "answer bias" else "not passed by"
            assert label == "against chance" and words.startswith(f"{begun} DiffMean vector 1:resid_post: "), name


def test_what_is_printed_is_what_json_says(told, mechsteer):
    folder = told("it works")
    printed, content = mechsteer("show", folder)[1], json.loads(mechsteer("show", folder, "--json")[1])
    (verdict,) = content["verdicts"]
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert lines[0] == verdict["headline"] == "WORKED: preference is gained beyond chance"
    assert all(" ".join(f"{row['label']} {row['words']}".split()) in lines for row in verdict["told"])


def test_three_texts_show_a_flip_and_say_where_there_is_none(told, tmp_path):
    (verdict,) = verdicts_of(Study.load(told("it works")))
    assert verdict.flip is not None and verdict.flip.is_flip
    below, zero, above = verdict.flip.texts.values()
    assert "dreary" in below and "so so" in zero and "lovely" in above
    ends, m = verdict.useful.ends, [*verdict.flip.texts]
    assert ends[0] <= m[0] < m[1] == 0 < m[2] <= ends[1]
    same = stories.write(tmp_path / "same", replace(STORIES["it works"], text=lambda m: "so so"))
    assert "no query's texts flip" in str(verdicts_of(Study.load(same))[0].texts[0])


def test_the_useful_range_ends_where_the_checker_or_the_second_utility_does(told):
    def ends(name: str) -> tuple[float, float]:
        return verdicts_of(Study.load(told(name)))[0].useful.ends

    low, high = ends("it works")
    assert (low, high) == pytest.approx((-6, 6), rel=0.1)
    # A tenth of answers less on a line from 0.96 at 2 to 0.3 at 4; a tenth of coherence, which falls by 0.7 there; a tenth of a
    # nat per token at the root of five.
    assert ends("answers break half way") == pytest.approx((-2.3, 2.3), abs=0.05)
    assert ends("a judge finds text broken half way") == pytest.approx((-2.28, 2.28), abs=0.05)
    assert ends("neutral text breaks half way") == pytest.approx((-(5**0.5), 5**0.5), abs=0.1)


def test_each_end_of_the_range_is_told_with_what_ends_it(told, tmp_path):
    def useful(story):
        return str(verdicts_of(Study.load(stories.write(tmp_path / str(len([*tmp_path.iterdir()])), story)))[0].useful)

    it_works = STORIES["it works"]
    assert ", where 0.5 nats of utility are lost" in useful(it_works)
    above = useful(replace(it_works, valid=lambda m: np.where(m > 2.5, 0.3, 0.96)))
    told = (
        ", where 0.5 nats of utility are lost (m<0), and where the share of valid answers has fallen by 10 points (m>0); by the "
        "exact checker 96% and 86% of answers are valid at its ends, 96% unsteered"
    )
    assert told in above
    open_above = useful(
        replace(it_works, lost=lambda m: np.where(m < 0, 0.5 * (m / 6) ** 2, 0), second_lost=lambda m: 0 * m)
    )
    json.dumps(verdicts_of(Study.load(tmp_path / "2"))[0].to_dict(), allow_nan=False)
    assert " or further (relative" in open_above and ", where 0.5 nats of utility are lost (m<0)" in open_above


def asked_for(folder: Path, **settings: object) -> Study:
    """A story's study, as if it had been asked for these settings."""
    about = json.loads((folder / "study.json").read_text())
    about["settings"] = Settings(**settings).to_dict()
    (folder / "study.json").write_text(json.dumps(about))
    return Study.load(folder)


@pytest.mark.parametrize(
    ("lost", "where"),
    [
        (
            lambda m: np.where(m < 0, 0.5 * (m / 6) ** 2, 0.0),
            "where 0.5 nats of utility are lost, or up to the sweep's end, m = 16",
        ),
        (lambda m: -0.01 * np.abs(m), "up to the sweep's ends, m = -16 (0.16 gained) and m = 16 (0.16 gained): "),
    ],
)
def test_of_a_sweep_that_ends_early_no_loss_is_told_that_nobody_measured(tmp_path, lost, where):
    flat = replace(STORIES["it works"], preference=lambda m: 8 * np.tanh(m), lost=lost, second_lost=lambda m: 0 * m)
    folder = stories.write(tmp_path / "short", flat)
    given = ",".join(f"{m:g}" for m in stories.M)
    (verdict,) = verdicts_of(asked_for(folder, multipliers=given))
    assert where in verdict.gained
    reasons = {reason.name: reason for reason in verdict.reasons}
    assert "preference flattens early" not in reasons or "or up to" in where
    assert reasons["sweep ends early"].change == {"multipliers": "auto"}
    # A range that was looked for goes as far as there is one.
    assert "sweep ends early" not in {r.name for r in verdicts_of(asked_for(folder, multipliers="auto:21"))[0].reasons}


def test_a_study_without_diffmean_is_told_how_to_measure_chance(tmp_path):
    """Claims are asked of DiffMean's vector by default, which this study does not learn."""
    folder = stories.write(tmp_path / "bare", replace(STORIES["it works"], judged=False))
    for name in ("sweeps.parquet", "frontier.parquet", "steerability.parquet", "texts.parquet"):
        table = pd.read_parquet(folder / name)
        table.assign(method="SPLIT").to_parquet(folder / name, index=False)
    about = json.loads((folder / "study.json").read_text())
    fits = json.loads((folder / "fits.json").read_text())
    for key in (about["summary"]["key"], fits[0]["key"]):
        key["method"] = "SPLIT"
    (folder / "study.json").write_text(json.dumps(about))
    (folder / "fits.json").write_text(json.dumps(fits))
    study = asked_for(folder, methods=("SPLIT",), forms=("vector",))
    (verdict,) = verdicts_of(study)
    assert "--claims=SPLIT-vector " in f"{verdict.next_command} "
    assert "SPLIT" in render([study])


def test_what_is_gained_is_told_where_it_is_gained(told):
    works, breaks = (verdicts_of(Study.load(told(name)))[0] for name in ("it works", "answers break half way"))
    assert "Within the useful range" not in works.gained
    # 8 tanh(2.3 / 6) of what is drawn around it.
    within = float(breaks.gained.partition("Within the useful range, which ends earlier, it gains ")[2].rstrip("."))
    assert within == pytest.approx(8 * np.tanh(2.3 / 6), rel=0.1)


def test_a_steer_that_gains_on_one_side_is_written_with_on_that_side(told):
    (verdict,) = verdicts_of(Study.load(told("it gains on one side")))
    (multipliers,) = [word for word in shlex.split(verdict.next_command) if word.startswith("--multipliers=")]
    zero, high = read_multipliers(multipliers.removeprefix("--multipliers="))
    assert zero == 0 < high


def test_a_column_that_groups_pairs_is_named_in_the_next_command(told):
    (verdict,) = verdicts_of(Study.load(told("a column that nobody named says which pairs are alike")))
    words = shlex.split(verdict.next_command)
    assert words[:2] == ["mechsteer", "study"] and "--group theme" in verdict.next_command.replace("=", " ")
    assert "--group theme" in verdict.next_words


@pytest.mark.parametrize("name", [name for name, story in STORIES.items() if story.ended != "worked"])
def test_what_did_not_work_has_a_command_that_parses(name, told):
    (verdict,) = verdicts_of(Study.load(told(name)))
    _, verb, *arguments = shlex.split(verdict.next_command)
    line = {str(line.name): line for lines in cli.CONTENTS.values() for line in lines}[verb]
    line.make_context(verb, arguments)


@pytest.mark.parametrize(("lost", "said"), [
    (STORIES["neutral text breaks half way"].lost, "nats of utility are lost"),
    (lambda m: 0.8 * (m / 6) ** 4 - 0.3 * (m / 6) ** 2, "nats of utility are gained"),
])  # fmt: skip
def test_texts_that_get_worse_where_utility_rises_are_not_told_to_lose_less_than_nothing(lost, said, tmp_path):
    story = replace(STORIES["neutral text breaks half way"], lost=lost)
    (verdict,) = verdicts_of(Study.load(stories.write(tmp_path / "told", story)))
    (worse,) = (reason.told for reason in verdict.reasons if reason.name == "text invalid at moderate m")
    assert said in worse and "where -" not in worse


def test_the_next_command_is_one_that_can_be_run(told, mechsteer):
    (verdict,) = verdicts_of(Study.load(told("it works")))
    words = shlex.split(verdict.next_command)
    assert words[:3] == ["mechsteer", "generate", "--intervention"] and words[3].endswith(
        "interventions/diffmean-vector.safetensors"
    )
    # As the command line reads it, whatever the query begins with.
    assert words[5] == "--" and len(words) == 7
    low, zero, high = read_multipliers(words[4].removeprefix("--multipliers="))
    assert low < zero == 0 < high
    (again,) = verdicts_of(Study.load(told("it gains nothing")))
    assert again.next_command.startswith(f"{Settings(model='folder/garden', pairs='garden.jsonl').command} --out ")


def test_side_effects_are_told_largest_first(told, tmp_path):
    effects = {"garden/calm": lambda m: 0.01 * m, "garden/old": lambda m: -m}
    folder = stories.write(tmp_path / "effects", replace(STORIES["it works"], side_effects=effects))
    (verdict,) = verdicts_of(Study.load(folder))
    assert [effect.measured_on for effect in verdict.side_effects] == ["garden/old", "garden/calm"]
    low, high = verdict.useful.ends
    assert (verdict.side_effects[0].below, verdict.side_effects[0].above) == pytest.approx((-low, -high))
    # On the card of the steer, too, whose range ends between two multipliers that were measured.
    assert not {low, high} & {*stories.M}
    measured = Measured.of(folder / "interventions" / f"{verdict.key.slug}.safetensors")
    assert measured is not None
    effects = measured.side_effects.set_index("measured_on").loc["garden/old"]
    assert effects.multiplier.tolist() == [low, high]
    assert effects.preference_change.tolist() == pytest.approx([-low, -high])


def test_one_that_was_not_judged_cannot_be_told(small_study):
    with redirect_stdout(io.StringIO()) as printed:
        printing.echo(*summary.told(summary.read(small_study)))
    assert printed.getvalue().startswith(
        "CANNOT TELL: no control\nagainst chance  not measured for DiffMean vector 3:resid_mid."
    )


@pytest.mark.parametrize("name", STORIES)
def test_each_story_is_told_rightly_on_the_first_screen_of_its_page(name, told):
    page, story = render([Study.load(told(name))]), STORIES[name]
    # Before the first chart, and before any script has run.
    first = re.sub("<[^>]*>", " ", page.partition('data-part="verdict"')[2].partition('class="bar"')[0])
    assert story.ended.upper() in first and story.chief in html.unescape(first)


@pytest.mark.slow
@pytest.mark.parametrize(
    "size", [{"width": 1440, "height": 900}, {"width": 390, "height": 844}], ids=["laptop", "phone"]
)
@pytest.mark.parametrize("name", STORIES)
def test_each_story_is_in_sight_when_its_page_opens(name, size, told, browser, tmp_path):
    page, story = tmp_path / "report.html", STORIES[name]
    page.write_text(render([Study.load(told(name))]), encoding="utf-8")
    context = browser.new_context(viewport=size)
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.wait_for_selector("html[data-drawn]", state="attached")
    verdict = tab.locator('[data-part="verdict"]')
    headline, reasons = (
        verdict.locator("h2"),
        verdict.locator("dt", has_text=re.compile("against chance|because|limit")),
    )
    said = headline.inner_text()
    assert said.startswith(story.ended.upper()) and story.chief in said
    # A phone shows the headline at least; a laptop, why, too.
    for part in [headline, *(reasons.locator("..").all() if size["width"] > 1000 else [])]:
        box = part.bounding_box()
        assert part.is_visible() and box["y"] >= 0 and box["x"] >= 0
        assert box["y"] + box["height"] <= size["height"] and box["x"] + box["width"] <= size["width"]
    assert reasons.count()
    context.close()


def test_a_page_says_the_same_wherever_its_study_lies(told, tmp_path):
    folder = told("it works")
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    pages = [render([Study.load(place)]) for place in (folder, moved)]
    assert pages[0] == pages[1] and "--intervention interventions/diffmean-vector.safetensors" in pages[0]
