"""Single pairs: what they agree on before a sweep, and what a steer does to each, where both are planted and on the guestbook."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from worlds.losses import sweep_of

import mechsteer as ms
from analyses.evidence.forecast import (
    AGREEMENT,
    AUROC,
    D_PRIME,
    RANKS,
    WRONG_WAY,
    activation_sums,
    agreement,
    auroc,
    d_prime,
    forecast,
    sentences,
    spearman,
    steered,
    summarise,
)
from analyses.units.sweeps import Tables
from mechsteer import InputError
from mechsteer.engine.activations import read_activations
from mechsteer.models.prompts import encode_pairs
from mechsteer.statistics.intervals import wilson_interval

GRID = np.linspace(-2, 2, 41)
SITE = ms.Site(1, "resid_post")


def before(cosine: np.ndarray, apart: float = 2.0, seed: int = 0) -> pd.DataFrame:
    """What was predicted: the cosines as given, and texts that lie so many standard deviations apart."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "pair": list(map(str, range(len(cosine)))),
            "cosine": cosine,
            "projection_positive": apart + rng.normal(size=len(cosine)),
            "projection_negative": rng.normal(size=len(cosine)),
        }
    )


def after(slope: np.ndarray):
    """A sweep whose preference has these slopes where at most half a nat is lost, up to |m| = 1, and none beyond."""
    preference = slope * np.clip(GRID, -1, 1)[:, None] + np.linspace(-3, 3, len(slope))
    return sweep_of(GRID, preference, -20 - 0.5 * GRID[:, None] ** 2 * np.ones(len(slope)))


def test_a_slope_is_that_of_the_useful_range_alone():
    slope = np.linspace(-1, 5, 60)
    found = steered(before(np.zeros(60)), after(slope))
    assert found.slope.to_numpy() == pytest.approx(slope)
    assert (found.n_multipliers == 21).all()


def test_what_is_told_is_what_was_planted():
    rng = np.random.default_rng(1)
    cosine = rng.uniform(0, 1, 200)
    slope = np.where(np.arange(200) < 30, -1.0, 1.0) * rng.uniform(0.5, 1, 200)
    rows = steered(before(cosine), after(slope))
    told = summarise(rows).set_index("quantity")
    assert told.estimate[AGREEMENT] == pytest.approx(cosine.mean())
    assert told.estimate[WRONG_WAY] == pytest.approx(0.15)
    texts = np.concatenate([rows.projection_positive, rows.projection_negative])
    assert told.estimate[AUROC] == pytest.approx(roc_auc_score(np.repeat([1, 0], 200), texts))
    assert told.estimate[D_PRIME] == pytest.approx(2, abs=0.25)
    assert told.estimate[RANKS] == pytest.approx(spearmanr(cosine, slope).statistic)
    assert (told.low < told.estimate).all() and (told.estimate < told.high).all() and (told.n_pairs == 200).all()


def test_agreement_predicts_the_slope_where_it_does_and_only_there():
    rng = np.random.default_rng(2)
    cosine = rng.uniform(0, 1, 200)
    for noise, expected in ((0.0, 1.0), (0.3, 0.69), (None, 0.0)):
        slope = rng.normal(size=200) if noise is None else cosine + noise * rng.normal(size=200)
        told = summarise(steered(before(cosine), after(slope))).set_index("quantity")
        assert told.estimate[RANKS] == pytest.approx(expected, abs=0.13)
        assert (told.low[RANKS] > 0) == (noise is not None)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.05, 0.3])
def test_intervals_hold_the_truth_about_as_often_as_they_say(share, monkeypatch):
    """Of a population of pairs: the share steered the wrong way, the agreement and the rank correlation."""
    monkeypatch.setattr("analyses.evidence.forecast.N_RESAMPLES", 200)
    held = {WRONG_WAY: [], AGREEMENT: [], RANKS: []}
    for seed in range(100):
        rng = np.random.default_rng(seed)
        cosine = rng.beta(4, 2, 120)
        slope = np.where(rng.random(120) < share, -1, 1) * rng.uniform(0.5, 1.5, 120)
        told = summarise(steered(before(cosine, seed=seed), after(slope)), seed).set_index("quantity")
        for name, truth in ((WRONG_WAY, share), (AGREEMENT, 4 / 6), (RANKS, 0.0)):
            held[name].append(told.low[name] - 1e-12 <= truth <= told.high[name])
    assert all(np.mean(times) >= 0.88 for times in held.values())


def test_pairs_that_share_a_direction_agree_and_pairs_at_random_do_not():
    rng = np.random.default_rng(0)
    shape, counts = (2, 100, 40), np.full((2, 100), 3)
    noise = rng.normal(size=shape)
    alone = agreement(noise * 3, counts)
    assert abs(alone.mean()) < 0.05
    shared = agreement((noise + np.array([-1, 1])[:, None, None]) * 3, counts)
    # Of a difference 2·1 with noise of variance 2 in each coordinate: 2 / sqrt(4 + 2).
    assert shared.mean() == pytest.approx(2 / np.sqrt(6), abs=0.02)


def test_no_pair_is_held_against_itself():
    sums = np.zeros((2, 3, 3))
    sums[1] = np.eye(3)
    # Each difference is orthogonal to both others.
    np.testing.assert_allclose(agreement(sums, np.ones((2, 3), np.int64)), 0, atol=1e-12)


def test_statistics_are_defined_by_counting():
    rng = np.random.default_rng(3)
    positive, negative = rng.integers(0, 5, (2, 1, 30)).astype(float)
    above = np.mean((positive[0][:, None] > negative[0]) + 0.5 * (positive[0][:, None] == negative[0]))
    assert auroc(positive, negative)[0] == pytest.approx(above)
    assert d_prime(positive + 3, positive)[0] == pytest.approx(3 / positive.std())
    assert spearman(positive, negative)[0] == pytest.approx(spearmanr(positive[0], negative[0]).statistic)
    assert np.isnan(spearman(positive, np.ones((1, 30)))[0]) and np.isnan(d_prime(np.ones((1, 3)), np.zeros((1, 3)))[0])


def test_a_share_of_none_is_not_certain():
    # Wilson's interval for none of n ends at z² / (n + z²).
    low, high = wilson_interval(np.array([0.0]), np.array([100]))[0]
    assert low == pytest.approx(0, abs=1e-12) and high == pytest.approx(1.96**2 / (100 + 1.96**2))


def test_sentences_read_right_at_none_at_some_and_where_nothing_varies():
    def told(slope, cosine=np.linspace(0.2, 0.9, 50)):  # noqa: B008
        return sentences(summarise(steered(before(cosine), after(slope))), "DiffMean vector", "1:mlp.out")

    none, some, even = told(np.linspace(1, 2, 50)), told(np.linspace(-1, 9, 50)), told(np.ones(50), np.full(50, 0.5))
    assert "is 0.55 [" in none[0] and "at 1:mlp.out" in none[0] and "AUROC 0.9" in none[0]
    assert none[1].startswith("DiffMean vector steers none of 50 pairs (7.1% at most) the wrong way")
    assert some[1].startswith("DiffMean vector steers 10% [4%, 21%] of 50 pairs the wrong way")
    assert "is 1.00 [1.00, 1.00]" in some[1] and "correlation" not in even[1]


def test_too_few_useful_multipliers_have_no_slope():
    wide = sweep_of(np.array([-9.0, 0, 9]), np.zeros((3, 5)), np.array([-90.0, -20, -90])[:, None] * np.ones(5))
    with pytest.raises(InputError, match="1 multipliers lose at most 0.5 nats"):
        steered(before(np.zeros(5)), wide)


def test_a_sweep_of_other_pairs_is_refused():
    with pytest.raises(InputError, match="other pairs"):
        steered(before(np.zeros(6)), after(np.ones(5)))


def test_sums_are_those_of_every_completion_token(guestbook):
    pairs = ms.load_pairs("guestbook/tense")[:5]
    sums, counts = activation_sums(guestbook, pairs, SITE, "raw")
    (read,) = read_activations(guestbook, encode_pairs(guestbook, pairs, "raw"), [SITE])
    values = read.at[SITE].double().numpy()
    for pair in range(5):
        for side in (0, 1):
            here = (read.pair.numpy() == pair) & (read.is_positive.numpy() == side)
            assert counts[side, pair] == here.sum()
            np.testing.assert_allclose(sums[side, pair], values[here].sum(axis=0), rtol=1e-6)
    pooled = np.diff(sums.sum(axis=1) / counts.sum(axis=1)[:, None], axis=0)[0]
    np.testing.assert_allclose(pooled, ms.diff_mean(guestbook, pairs, SITE).direction, atol=1e-4)


def test_on_the_guestbook_pairs_agree_texts_are_told_apart_and_nobody_is_steered_the_wrong_way(guestbook):
    learning, testing = ms.load_pairs("guestbook/sentiment").sample(160).split(0.5, seed=0)
    found = forecast(guestbook, learning, testing, SITE)
    vector = ms.diff_mean(guestbook, learning, SITE)
    sweep = ms.run_sweep(guestbook, vector, testing, np.linspace(-2, 2, 9), progress=False)
    told = summarise(steered(found, sweep)).set_index("quantity")
    assert told.low[AGREEMENT] > 0.3 and told.estimate[AUROC] > 0.9
    assert told.estimate[WRONG_WAY] == 0


def test_tables_come_back_as_they_were(tmp_path):
    rows = steered(before(np.linspace(0, 1, 40)), after(np.linspace(1, 2, 40)))
    Tables({"pairs_steered": rows, "steerability": summarise(rows)}).save(tmp_path)
    assert Tables.load(tmp_path).tables["pairs_steered"].equals(rows)
