"""Verdicts in worlds whose truth is planted: right where the evidence suffices, and silent where it does not."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import worlds
from worlds.manifold import READ, SWEPT, D, few, make
from worlds.readouts import by_rank, readouts

import figures.orthogonality
from analyses.claims import (
    CLAIMS,
    manifold_exists,
    off_manifold,
    orthogonality,
    validity,
)
from analyses.claims.orthogonality import effects
from analyses.claims.tokens import by_pair
from analyses.claims.verdict import judge
from analyses.evidence.evidence import LayerActivations
from analyses.studies.finished import Study
from figures import distance, shift_split, utility_distance
from figures.drawing.captions import caption_of
from mechsteer.statistics.judging import Outcome

ANALYSES = (manifold_exists, off_manifold, orthogonality, validity)


@pytest.mark.slow
@pytest.mark.parametrize("case", worlds.CASES, ids=lambda case: f"{case.analysis.NAME}: {case.world}")
def test_a_verdict_is_the_planted_truth(case, monkeypatch):
    monkeypatch.setattr("analyses.claims.rivals.N_RESAMPLES", 100)
    # A seed of its own: benchmarks/verdicts.py counts over a hundred others.
    found = {claim.name: claim.outcome for claim in case.judge(1000).claims}
    assert {claim: found[claim] for claim in case.truth} == dict(case.truth)


@pytest.mark.slow
@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda analysis: analysis.NAME)
def test_a_verdict_repeats_and_says_what_it_rests_on(analysis):
    evidence = make(0)
    first, second = analysis.run(evidence), analysis.run(evidence)
    assert [claim.to_dict() for claim in first.claims] == [claim.to_dict() for claim in second.claims]
    for claim in first.claims:
        assert claim.claim == analysis.NAME and claim.part in analysis.TITLES and claim.because.endswith(".")
        if np.isfinite(claim.estimate):
            assert claim.control and claim.interval.low <= claim.interval.high
    for name, table in first.tables.items():
        assert len(table), name


@pytest.mark.parametrize("analysis", (off_manifold, orthogonality, validity), ids=lambda analysis: analysis.NAME)
def test_utility_that_is_undefined_everywhere_decides_nothing_about_utility(analysis):
    evidence = make(0)
    # Both completions certain: their probabilities add up to two.
    sweep = replace(evidence.sweep, **{name: np.zeros_like(evidence.sweep.loss_positive) for name in LOSSES})
    undefined = np.full_like(evidence.slope_utility, np.nan)
    result = analysis.run(replace(evidence, sweep=sweep, slope_utility=undefined))
    about_utility = [claim for claim in result.claims if claim.name != "validity: preference"]
    assert about_utility
    assert {claim.outcome for claim in about_utility} == {Outcome.INCONCLUSIVE}


LOSSES = ("loss_positive", "loss_negative")


@pytest.mark.parametrize("analysis", (manifold_exists, off_manifold), ids=lambda analysis: analysis.NAME)
def test_too_few_learning_tokens_decide_nothing(analysis):
    evidence = make(0, n_learning=8)
    assert {claim.outcome for claim in analysis.run(evidence).claims} == {Outcome.INCONCLUSIVE}


def test_pairs_without_a_utility_are_left_out_and_change_nothing_else():
    evidence = make(0)
    sweep = evidence.sweep
    broken = {name: np.where(np.arange(len(sweep.pairs)) == 59, 0.0, getattr(sweep, name)) for name in LOSSES}
    with_broken = off_manifold.run(replace(evidence, sweep=replace(sweep, **broken)))
    without = off_manifold.run(few(evidence, 59))
    for one, other in zip(with_broken.claims, without.claims, strict=True):
        assert one.estimate == pytest.approx(other.estimate)


@pytest.mark.slow
def test_a_steer_that_exchanges_pairs_explains_nothing():
    """The control itself: the same distances at the same multipliers, given to other pairs."""
    evidence = make(0, n_pairs=120)
    assert claim_of(off_manifold.run(evidence), "explains").outcome is Outcome.SUPPORTED
    read = evidence.layers[0]
    moved = (read.steered - read.base).reshape(len(READ), 120, -1, D)[:, ::-1].reshape(read.steered.shape)
    exchanged = replace(evidence, layers={0: LayerActivations(read.learning, read.base, read.base + moved)})
    assert claim_of(off_manifold.run(exchanged), "explains").outcome is Outcome.REFUTED


@pytest.mark.slow
def test_length_that_moves_distance_and_loss_alike_is_no_explanation():
    evidence = make(0, decay_by_distance=0.0, n_pairs=200)
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 40, 200)
    read, m = evidence.layers[0], READ[:, None, None]
    moved = np.sign(m) * np.abs(m) * lengths[evidence.token_pair, None] / 10 * np.eye(D)[-1]
    loss = np.abs(SWEPT)[:, None] * (lengths + rng.normal(size=(25, 200)))
    sweep = replace(
        evidence.sweep, tokens_positive=lengths, tokens_negative=lengths, loss_positive=5 + loss, loss_negative=6 + loss
    )
    confounded = replace(
        evidence, sweep=sweep, layers={0: LayerActivations(read.learning, read.base, read.base + moved)}
    )
    # A distance that is nothing but length is none once length is taken out: nothing is left to decide by.
    assert claim_of(off_manifold.run(confounded), "explains").outcome is Outcome.INCONCLUSIVE
    unaware = replace(sweep, tokens_positive=lengths * 0 + 9, tokens_negative=lengths * 0 + 9)
    assert claim_of(off_manifold.run(replace(confounded, sweep=unaware)), "explains").outcome is Outcome.SUPPORTED


@pytest.mark.slow
def test_noise_in_a_readout_does_not_make_a_steer_look_special():
    """Noise adds to what random directions do to utility, here 70 % to their square, and so takes from the steer's rank."""
    found = [effects(by_rank(0.5, noise=1.5, n_pairs=200, seed=seed)) for seed in range(6)]
    quiet = [effects(by_rank(0.5, noise=0.01, n_pairs=200, seed=seed)) for seed in range(6)]
    lengths = np.mean([np.median(item.random) for item in found]) / np.mean([np.median(item.random) for item in quiet])
    assert np.mean([item.signal for item in found]) < 0.6
    assert lengths == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
def test_small_without_special_is_told_as_true_of_every_direction():
    everywhere = orthogonality.run(readouts(utility=0.4, within=0.1, n_filled=8, noise=0.05))
    assert (
        "as it is for nearly every direction, but not shown to be special: for 100% of random"
        in claim_of(everywhere, "special").because
    )
    not_small = orthogonality.run(readouts(utility=0.3))
    assert "nearly every direction" not in claim_of(not_small, "special").because


def test_the_rank_of_a_shift_is_its_share_among_random_directions():
    for rank in (0.2, 0.5, 0.9):
        assert effects(by_rank(rank, noise=0.01)).rank[0] == pytest.approx(rank, abs=0.05)


@pytest.mark.slow
def test_noise_that_may_go_either_way_does_not_refute_that_a_steer_is_special():
    """Its size is never nothing, and its share of random directions hardly ever near it."""
    noisy = [orthogonality.run(by_rank(0.0, noise=1.2, seed=seed)) for seed in range(6)]
    assert [claim_of(result, "special").outcome for result in noisy].count(Outcome.REFUTED) <= 1


def test_a_shift_of_nothing_is_neither_small_nor_special():
    evidence = readouts()
    nothing = replace(evidence, delta=0 * evidence.delta, slope_utility=np.zeros(200), slope_preference=np.zeros(200))
    assert Outcome.SUPPORTED not in [claim.outcome for claim in orthogonality.run(nothing).claims]


def test_pair_means_are_over_each_pair_s_own_tokens():
    values = np.array([[1.0, 3.0, 10.0], [0.0, 4.0, 7.0]])
    np.testing.assert_array_equal(by_pair(values, np.array([4, 4, 2])), [[10.0, 2.0], [7.0, 2.0]])


@pytest.mark.slow
def test_a_constant_share_of_valid_answers_has_no_order():
    evidence = make(0)
    answers = evidence.answers.assign(valid=0.9)
    claims = {claim.name: claim.outcome for claim in validity.run(replace(evidence, answers=answers)).claims}
    assert claims["validity: utility"] is Outcome.INCONCLUSIVE
    assert claims["validity: level"] is Outcome.REFUTED


def test_without_a_checker_there_is_nothing_to_claim():
    evidence = make(0)
    assert validity.run(replace(evidence, answers=evidence.answers.iloc[:0])).claims == ()


def claim_of(result, name):
    return next(claim for claim in result.claims if claim.part == name)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A folder with the tables of two steers, as a judged study leaves them."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "claims").mkdir()
    tables = {}
    for seed in (0, 1):
        for analysis in (off_manifold, orthogonality):
            evidence = make(seed)
            evidence = evidence.of(replace(evidence.key, method=f"steer{seed}"))
            for name, table in judge(CLAIMS[analysis.NAME], evidence).tables.items():
                tables.setdefault(f"{analysis.NAME}-{name}", []).append(table)
    for name, parts in tables.items():
        pd.concat(parts).to_parquet(folder / "claims" / f"{name}.parquet")
    return Study(folder, {}, (), {})


FIGURES = (distance, utility_distance, shift_split, figures.orthogonality)


@pytest.mark.slow
@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.__name__)
def test_a_figure_shows_the_first_steer_of_a_judged_study_and_nothing_of_another(figure, judged, tmp_path):
    drawn = figure.draw(judged)
    assert "steer0" in caption_of(drawn, "")
    drawn.canvas.draw()
    assert figure.draw(Study(tmp_path, {}, (), {})) is None
