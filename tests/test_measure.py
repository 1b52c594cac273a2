"""Sweeps, DiffMean, ranges and sites, each against a plain computation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import build_hf
from numpy.testing import assert_allclose, assert_array_equal
from test_losses import plain_loss

import mechsteer as ms
from mechsteer.engine.losses import batches, pair_texts
from mechsteer.models.model import Model
from mechsteer.store.keys import COLUMNS, Key

ROOT = Path(__file__).parents[1]
SITE = ms.Site(1, "resid_post")


@pytest.fixture(scope="module")
def mood(shared):
    return ms.load_pairs(shared / "data/story_mood/train.jsonl"), ms.load_pairs(
        shared / "data/story_mood/validation.jsonl"
    )


@pytest.fixture(scope="module")
def vector(stories, mood):
    return ms.diff_mean(stories, mood[0], SITE)


@pytest.fixture(scope="module")
def in_the_middle(stories, mood):
    return ms.diff_mean(stories, mood[0], ms.Site(2, "resid_post"))


def plain_hf(shared):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(shared / "models" / "stories260K")


def test_diff_mean_equals_the_difference_of_means_taken_with_raw_hooks(stories, shared, mood):
    pairs = mood[0][:20]
    hf, seen = plain_hf(shared), {}
    hf.model.layers[1].register_forward_hook(lambda m, args, out: seen.update(h=out))
    tokens = {True: [], False: []}
    for pair in ms.encode_pairs(stories, pairs):
        for polarity, ids in ((True, pair.positive), (False, pair.negative)):
            with torch.no_grad():
                hf(input_ids=torch.tensor([ids]))
            tokens[polarity].append(seen["h"][0, pair.begin :])
    expected = torch.cat(tokens[True]).mean(0) - torch.cat(tokens[False]).mean(0)
    vector = ms.diff_mean(stories, pairs, SITE, batch_size=7)
    assert_allclose(vector.direction, expected, atol=1e-5)
    assert vector.origin.pairs_fingerprint == pairs.fingerprint and vector.origin.method == "DiffMean"


def test_swapping_the_completions_turns_the_diff_mean_vector_round(stories, mood):
    one, other = (ms.diff_mean(stories, pairs, SITE) for pairs in (mood[0][:20], mood[0][:20].swapped()))
    assert_allclose(one.direction, -other.direction, atol=1e-6)


@pytest.mark.slow
def test_a_sweep_equals_plain_hugging_face_with_a_raw_hook(stories, shared, mood, vector):
    pairs, multipliers = mood[1][:5], [-3.0, 0.0, 2.0]
    sweep = ms.run_sweep(stories, vector, pairs, multipliers, batch_tokens=100, progress=False)
    hf = plain_hf(shared)
    for index, multiplier in enumerate(multipliers):

        def shift(module, args, out, multiplier=multiplier):
            out = out.clone()
            out[:, 1:] += multiplier * vector.direction
            return out

        handle = hf.model.layers[1].register_forward_hook(shift)
        for column, pair in enumerate(ms.encode_pairs(stories, pairs)):
            assert_allclose(
                sweep.loss_positive[index, column], plain_loss(hf, list(pair.positive), pair.begin), atol=1e-4
            )
            assert_allclose(
                sweep.loss_negative[index, column], plain_loss(hf, list(pair.negative), pair.begin), atol=1e-4
            )
        handle.remove()


@pytest.mark.slow
def test_a_known_direction_moves_real_pairs_as_far_as_is_known(stories, mood):
    """Measured elsewhere: +0.56 becomes +2.82 or -1.36 by twice the difference of per-text means, added everywhere."""
    site = ms.Site(2, "resid_post")
    means = torch.zeros(2, len(mood[0]), stories.d_model)
    for read in ms.read_activations(stories, ms.encode_pairs(stories, mood[0]), [site]):
        for polarity in (0, 1):
            for pair in read.pair[read.is_positive == bool(polarity)].unique():
                chosen = (read.pair == pair) & (read.is_positive == bool(polarity))
                means[polarity, pair] = read.at[site][chosen].mean(dim=0)
    vector = ms.SteeringVector(site, (means[1] - means[0]).mean(dim=0))
    texts = pair_texts(ms.encode_pairs(stories, mood[1]))
    found = {}
    for multiplier in (-2.0, 2.0):
        losses = np.zeros(len(texts))
        for item in batches(texts, 32, 0):
            with torch.no_grad(), ms.steer(stories, vector, multiplier, item.batch.attention_mask):
                losses[list(item.rows)] = ms.completion_losses(stories, item.batch)[0].numpy()
        positive, negative = losses.reshape(2, -1)
        found[multiplier] = (negative - positive).mean()
    assert_allclose([found[2.0], found[-2.0]], [2.82, -1.36], atol=0.006)


def test_intervals_count_distinct_pairs(stories, mood, vector):
    """Twelve pairs, and the same twelve written eight times, which would narrow every interval almost threefold."""
    pairs, grid = mood[1][:12], np.linspace(-4, 4, 9)
    copied = [replace(pair, id=f"{pair.id} again {n}") for n in range(7) for pair in pairs]
    once = ms.run_sweep(stories, vector, pairs, grid, progress=False)
    with pytest.warns(UserWarning, match="84 of 96 pairs are copies of others"):
        often = ms.run_sweep(stories, vector, ms.Pairs((*pairs, *copied), pairs.name), grid, progress=False)
    assert often.key == once.key and often.pairs == once.pairs
    assert_array_equal(often.preference, once.preference)
    found = [ms.fit_preference(sweep, n_resamples=50).properties for sweep in (once, often)]
    assert found[0] == found[1]


def test_a_sweep_is_the_same_after_saving_and_loading(stories, mood, vector, tmp_path):
    sweep = ms.run_sweep(stories, vector, mood[1][:4], [1, -1, 0], progress=False)
    assert_array_equal(sweep.multipliers, [-1, 0, 1])
    frame = pd.read_parquet(sweep.save(tmp_path / "sweep.parquet"))
    assert list(frame.columns) == [
        *COLUMNS, "hook", "multiplier", "pair", "relative_shift", "relative_shift_low", "relative_shift_high",
        "relative_shift_mean", "loss_positive", "loss_negative", "tokens_positive", "tokens_negative", "preference", "utility",
    ]  # fmt: skip
    assert set(frame["model"]) == {stories.name} and set(frame["weights"]) == {stories.fingerprint}
    pd.testing.assert_frame_equal(ms.Sweep.load(tmp_path / "sweep.parquet").to_frame(), frame)


def test_the_rows_of_a_sweep_may_stand_in_any_order_and_none_may_lack(stories, mood, vector):
    sweep = ms.run_sweep(stories, vector, mood[1][:4], [1, -1, 0], progress=False)
    frame = sweep.to_frame()
    mixed = ms.Sweep.from_frame(frame.sample(frac=1, random_state=0))
    order = [mixed.pairs.index(pair) for pair in sweep.pairs]
    for name in ("loss_positive", "loss_negative", "relative_shift"):
        assert_array_equal(getattr(mixed, name)[:, order], getattr(sweep, name))
    assert_array_equal(mixed.tokens_positive[order], sweep.tokens_positive)
    assert mixed.key == sweep.key
    with pytest.raises(ms.InputError, match="0 rows of pair"):
        ms.Sweep.from_frame(frame.drop(index=5))
    with pytest.raises(ms.InputError, match="2 rows of pair"):
        ms.Sweep.from_frame(pd.concat([frame, frame.iloc[3:4]]))
    with pytest.raises(ms.InputError, match="holds 2 sweeps"):
        ms.Sweep.from_frame(pd.concat([frame, frame.assign(positions="query")]))


def test_the_shift_of_a_sweep_is_read_between_its_multipliers_and_back():
    m = np.array([-4.0, -1, 0, 2, 4])
    shift = np.array([9.0, 1, 0, 4, 6])[:, None] * np.ones(3)
    flat = np.full((5, 3), 9.0)
    sweep = ms.Sweep(m, ("a", "b", "c"), flat, flat, np.ones(3, int), np.ones(3, int), shift, Key(sites="1:mlp.out"))
    assert_allclose(sweep.shift_at(np.array([-2.5, 1, 3, 5])), [5, 2, 5, 7])
    assert_allclose(sweep.signed_shift_at(np.array([-2.5, 1])), [-5, 2])
    for sign in (-1, 1):
        assert_allclose(sweep.shift_at(np.array([sweep.multiplier_at(3.0, sign)])), 3.0)


@pytest.mark.parametrize("grid", [[-4, -1, 0, 2], [-4, -1, 2], [-1, 1], [1, 2, 4], [-3, 0]], ids=str)
def test_a_shift_that_is_linear_is_read_so_whichever_multipliers_were_measured(grid):
    m, counts = np.array(grid, dtype=float), np.ones(1, int)
    flat = np.full((len(m), 1), 9.0)
    sweep = ms.Sweep(m, ("a",), flat, flat, counts, counts, 0.3 * np.abs(m)[:, None], Key(sites="1:mlp.out"))
    at = np.array([-7, -0.5, 0, 0.5, 3, 7])
    assert_allclose(sweep.shift_at(at), 0.3 * np.abs(at), rtol=1e-12)
    assert_allclose([sweep.multiplier_at(size, sign) for sign in (-1, 1) for size in (0.03, 2.1)], [-0.1, -7, 0.1, 7])
    if 0 in grid:
        assert m[sweep.zero] == 0
    else:
        with pytest.raises(ms.InputError, match="has not measured m = 0"):
            _ = sweep.zero


def test_the_relative_shift_of_a_sweep_grows_with_the_multiplier(stories, mood, vector):
    sweep = ms.run_sweep(stories, vector, mood[1][:4], [-2, 0, 1], progress=False)
    assert_allclose(sweep.relative_shift[0], 2 * sweep.relative_shift[2], rtol=1e-5)
    assert (sweep.relative_shift[1] == 0).all() and (sweep.relative_shift[2] > 0).all()


@pytest.mark.slow
def test_auto_multipliers_reach_from_no_effect_to_chance(stories, mood, in_the_middle):
    grid = ms.find_multipliers(stories, in_the_middle, mood[0], n=21, max_pairs=16)
    sweep = ms.run_sweep(stories, in_the_middle, mood[0][:16], grid, progress=False)
    tokens = (sweep.tokens_positive + sweep.tokens_negative).mean() / 2
    chance = -tokens * np.log(stories.d_vocab)
    utility = sweep.utility.mean(axis=1)
    assert len(grid) == 21 and 0.0 in grid
    zero = int(np.flatnonzero(grid == 0)[0])
    assert np.abs(utility[[zero - 1, zero + 1]] - utility[zero]).max() < 0.05 * (utility[zero] - chance)
    assert (utility[[0, -1]] < chance + 2).all() and (utility[[1, -2]] > 2 * chance).all()


@pytest.mark.slow
def test_the_chosen_site_beats_the_first_layer_and_says_why(stories, mood):
    choice = ms.choose_site(stories, mood[0], places=("resid_post",), max_pairs=24, progress=False)
    sites = choice.table.drop_duplicates("layer").set_index("layer")
    best = sites.useful_gain.idxmax()
    assert choice.site.layer < 4 and sites.behind[choice.site.layer] >= 0 and sites.behind[best] == 0
    assert sites.useful_gain[choice.site.layer] > sites.useful_gain[0] and set(sites.index) == set(range(5))
    assert (sites.low <= sites.useful_gain).all() and "0.5 nats of utility are lost" in choice.because


@pytest.mark.slow
def test_sites_are_compared_at_equal_relative_shift(stories, mood):
    choice = ms.choose_site(stories, mood[0][:40], places=("mlp.out",), max_pairs=8, progress=False)
    learning, judging = mood[0][:40].split(0.5, seed=0)
    row = choice.table.query("layer == 1 and relative_shift == 0.5").iloc[0]
    vector = ms.diff_mean(stories, learning, ms.Site(1, "mlp.out"))
    sweep = ms.run_sweep(stories, vector, judging, [row.multiplier], progress=False)
    assert_allclose(sweep.relative_shift.mean(), 0.5, rtol=0.25)


@pytest.mark.parametrize("multipliers", [[], [np.nan], [1.0, np.inf]])
def test_multipliers_that_are_no_numbers_are_refused(stories, mood, multipliers):
    with pytest.raises(ms.InputError, match="ultipliers"):
        ms.run_sweep(stories, ms.diff_mean(stories, mood[0][:4], SITE), mood[1][:2], multipliers)


def test_a_vector_that_does_nothing_has_no_range(stories, mood):
    zero = ms.SteeringVector(SITE, torch.zeros(stories.d_model))
    with pytest.raises(ms.InputError, match="changes nothing"):
        ms.find_multipliers(stories, zero, mood[0])
    with pytest.raises(ms.InputError, match="2 multipliers were asked for"):
        ms.find_multipliers(stories, zero, mood[0], n=2)


def test_a_saved_intervention_is_the_same_and_knows_its_model(stories, mood, tmp_path, tiny):
    vector = ms.diff_mean(stories, mood[0][:8], SITE)
    path = vector.save(tmp_path / "vector.safetensors")
    loaded = ms.load_intervention(path, stories)
    assert torch.equal(loaded.direction, vector.direction)
    assert loaded.site == SITE and loaded.origin == vector.origin
    other = build_hf("llama")
    wrong_width: Model = tiny("llama")
    with pytest.raises(ms.InputError, match="has width 64, but"):
        ms.load_intervention(path, wrong_width)
    made_for_other = ms.SteeringVector(SITE, torch.ones(32), origin=vector.origin).save(tmp_path / "other.safetensors")
    with pytest.raises(ms.InputError, match="fingerprint of the weights"):
        ms.load_intervention(made_for_other, ms.load_model(other))


@pytest.mark.parametrize("form", ["lora", "local_weight"])
def test_every_form_survives_a_file(tiny, tmp_path, form):
    from conftest import random_intervention

    given = random_intervention(form, ms.Site(1, "mlp.out"), tiny("llama"))
    loaded = ms.load_intervention(given.save(tmp_path / "x.safetensors"), tiny("llama"))
    assert type(loaded) is type(given) and loaded.site == given.site
    for name, value in given.parameters.items():
        assert torch.equal(loaded.parameters[name], value)


def test_files_that_are_no_interventions_are_refused(tmp_path):
    from safetensors.torch import save_file

    (tmp_path / "text").write_text("hello")
    save_file({"a": torch.ones(2)}, tmp_path / "bare.safetensors")
    for name, message in (
        ("nowhere", "no intervention at"),
        ("text", "not a safetensors"),
        ("bare.safetensors", "no mechsteer"),
    ):
        with pytest.raises(ms.InputError, match=message):
            ms.load_intervention(tmp_path / name)


def test_a_vector_made_by_hand_sweeps_on_a_model_that_was_just_opened(shared, mood):
    model = ms.load_model(shared / "models/stories260K", device="cpu")
    sweep = ms.run_sweep(model, ms.SteeringVector(SITE, torch.ones(64)), mood[1][:3], [0, 1], progress=False)
    assert sweep.relative_shift[1].min() > 0


def test_a_steer_is_measured_as_it_was_learned(stories, mood):
    learned = ms.SteeringVector(SITE, torch.ones(64), origin=ms.Origin(positions="completion"))
    chosen = ms.run_sweep(stories, learned, mood[1][:3], [1], progress=False)
    asked = ms.run_sweep(stories, learned, mood[1][:3], [1], positions="all", progress=False)
    assert (chosen.key.positions, asked.key.positions) == ("completion", "all")
    assert not np.allclose(chosen.loss_positive, asked.loss_positive)


@pytest.mark.slow
def test_one_pair_without_utility_does_not_widen_the_range(stories, mood, in_the_middle, monkeypatch):
    normal = ms.find_multipliers(stories, in_the_middle, mood[0], n=21, max_pairs=8)

    def undefined(loss_positive, loss_negative):
        utility = ms.utility_log_odds(loss_positive, loss_negative)
        return np.concatenate([np.full_like(utility[..., :1], np.nan), utility[..., 1:]], axis=-1)

    monkeypatch.setattr("mechsteer.measuring.sweeps.utility_log_odds", undefined)
    assert_allclose(
        ms.find_multipliers(stories, in_the_middle, mood[0], n=21, max_pairs=8)[[0, -1]], normal[[0, -1]], rtol=0.5
    )


def test_sweeps_of_one_name_are_not_mixed(stories, mood, tmp_path):
    vector = ms.SteeringVector(SITE, torch.ones(64))
    sweeps = [ms.run_sweep(stories, vector, mood[1][:2], grid, progress=False) for grid in ([0, 1], [2, 3])]
    with pytest.raises(ms.InputError, match="Two sweeps are of the same steer"):
        ms.save_sweeps(sweeps, tmp_path / "sweeps.parquet")


def test_sweeps_of_keys_that_leave_fields_open_come_back_apart(tmp_path):
    flat, counts = np.full((2, 1), 9.0), np.ones(1, int)
    named = Key(method="SPLIT", form="vector", sites="1:mlp.out", seed=0, settings="a", pairs="one name")
    keys = [named.without("seed"), named, named.without("settings"), Key(sites="1:mlp.out")]
    written = [
        ms.Sweep(np.array([0.0, n]), ("a",), flat, flat, counts, counts, flat, key) for n, key in enumerate(keys, 1)
    ]
    ms.save_sweeps(written, tmp_path / "sweeps.parquet")
    found = ms.load_sweeps(tmp_path / "sweeps.parquet")
    assert [(sweep.key, sweep.multipliers[1]) for sweep in found] == list(zip(keys, range(1, 5), strict=True))


def test_a_sweep_whose_pairs_are_called_two_things_is_one_sweep():
    m, flat, counts = np.array([0.0, 1]), np.full((2, 1), 9.0), np.ones(1, int)
    frame = ms.Sweep(m, ("a",), flat, flat, counts, counts, flat, Key(sites="1:mlp.out", pairs="old")).to_frame()
    frame.loc[1, "pairs"] = "new"
    assert_array_equal(ms.Sweep.from_frame(frame).multipliers, m)


def test_arithmetic_on_vectors_gives_them_a_history_of_their_own(stories, mood):
    one = ms.diff_mean(stories, mood[0][:8], SITE)
    made = 2.0 * one - one
    assert_allclose(made.direction, one.direction, atol=1e-6)
    assert made.origin.method == "2 * DiffMean + -1 * DiffMean" and made.origin.pairs == ""
    assert made.origin.fingerprint == one.origin.fingerprint


def test_texts_longer_than_the_model_reads_are_refused_by_name(stories):
    long = ms.PolarityPair("once " * 400, " good.", " bad.", id="long one")
    with pytest.raises(ms.InputError, match="'long one' has .* reads 512 at most"):
        ms.encode_pairs(stories, [long])


def test_generation_settings_of_a_checkpoint_do_not_reach_in(stories):
    asked = ["Once upon a time"]
    plain = ms.generate(stories, asked, temperature=0, max_new_tokens=20)
    kept = stories.hf.generation_config.repetition_penalty
    stories.hf.generation_config.repetition_penalty = 5.0
    try:
        assert ms.generate(stories, asked, temperature=0, max_new_tokens=20) == plain
    finally:
        stories.hf.generation_config.repetition_penalty = kept
    assert ms.generate(stories, []) == []


def test_the_audit_of_a_generation_counts_the_prompt_and_every_token_fed_back(stories):
    vector = ms.SteeringVector(SITE, torch.ones(64))
    n_prompt = len(stories.tokenizer("Once upon a time")["input_ids"])
    with ms.steer(stories, vector, 0.1) as audit:
        ms.generate(stories, ["Once upon a time"], temperature=0, max_new_tokens=5)
    # The first token is not steered, the last one is never read.
    assert (audit.n_forwards, audit.n_positions) == (5, n_prompt - 1 + 4)


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_to_the_same_result(guestbook, tmp_path, monkeypatch):
    from mechsteer.engine import fast
    from mechsteer.measuring import batches

    monkeypatch.setattr(batches, "KEEP_EVERY", 0.0)
    pairs = ms.load_pairs("guestbook/sentiment").sample(12)
    vector = ms.diff_mean(guestbook, pairs, ms.Site(1, "resid_post"))
    asked = {"multipliers": [-2.0, 0.0, 1.0], "batch_tokens": 150, "progress": False}
    whole = ms.run_sweep(guestbook, vector, pairs, **asked)
    measured, calls = fast.Fast.sweep, []

    def stop_at_the_third(self, *arguments, **more):
        calls.append(arguments[1])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measured(self, *arguments, **more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fast.Fast, "sweep", stop_at_the_third)
        ms.run_sweep(guestbook, vector, pairs, checkpoint=tmp_path / "parts", **asked)
    (tmp_path / "parts/00007.part").write_bytes(b"damaged")
    with monkeypatch.context() as patch:
        patch.setattr(fast.Fast, "sweep", lambda self, *a, **m: calls.append(a[1]) or measured(self, *a, **m))
        resumed = ms.run_sweep(guestbook, vector, pairs, checkpoint=tmp_path / "parts", **asked)
    before, after = calls[:2], calls[3:]
    assert not any(batch in after for batch in before) and len(before) + len(after) > 3
    assert np.array_equal(resumed.loss_positive, whole.loss_positive)
    assert np.array_equal(resumed.relative_shift, whole.relative_shift)
    # Another steer does not go on from what this one's sweep has kept, whatever its origin says.
    turned = replace(vector, direction=-vector.direction)
    other = ms.run_sweep(guestbook, turned, pairs, checkpoint=tmp_path / "parts", **asked)
    assert np.array_equal(other.loss_positive, ms.run_sweep(guestbook, turned, pairs, **asked).loss_positive)
    other = ms.run_sweep(guestbook, -vector, pairs, checkpoint=tmp_path / "parts", **asked)
    assert np.array_equal(other.loss_positive, ms.run_sweep(guestbook, -vector, pairs, **asked).loss_positive)
