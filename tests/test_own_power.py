"""Power on a study's own data: what would be found there if it were true, and what a few tokens say of a pair."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from worlds.forms import vectors_and_lora
from worlds.manifold import make
from worlds.norms import frozen
from worlds.panel import candidates
from worlds.readouts import readouts

from analyses.claims import frozen_norms, off_manifold, one_mechanism, orthogonality, settles
from analyses.claims.by_distance import ByDistance
from analyses.claims.power import N_PLANTED, Power, if_powerful, power, power_over_pairs
from analyses.claims.sampled import Sampled
from mechsteer.statistics.judging import Outcome


def explains(evidence):
    return next(claim for claim in off_manifold.run(evidence).claims if claim.part == "explains")


def test_power_is_the_share_of_planted_truths_that_are_found():
    """Of a verdict that finds seven in ten, by a coin of its own."""

    def planted(rng):
        return Outcome.SUPPORTED if rng.random() < 0.7 else Outcome.REFUTED

    found = power("a coin", planted, seed=3, n=2000)
    assert found.found == pytest.approx(0.7, abs=0.04) and found.found + found.refuted == pytest.approx(1)
    assert power("a coin", planted, seed=3) == power("a coin", planted, seed=3)
    assert N_PLANTED * power("", planted).found == round(N_PLANTED * power("", planted).found)


def test_power_over_pairs_is_that_of_a_test_on_as_many_pairs():
    """Of a mean that is found where it exceeds 1.96 standard errors, by the normal distribution."""
    n_pairs, effect = 100, 0.25
    values = np.random.default_rng(0).standard_normal((1, n_pairs))
    planted = effect + (values - values.mean()) / values.std()

    def verdict(drawn, seed):
        found = drawn.mean() > 1.96 * drawn.std(ddof=1) / np.sqrt(n_pairs)
        return Outcome.SUPPORTED if found else Outcome.INCONCLUSIVE

    found = np.mean([power_over_pairs("", verdict, planted, seed).found for seed in range(10)])
    assert found == pytest.approx(0.705, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("outcome", [Outcome.SUPPORTED, Outcome.REFUTED])
def test_a_claim_without_power_is_undecided_either_way(outcome):
    claim = replace(explains(make(0)), outcome=outcome, p_value=0.01)
    weak, misleading, strong = Power("", 0.79, 0.0), Power("", 0.94, 0.06), Power("", 0.8, 0.05)
    assert if_powerful(strong, claim).outcome is outcome
    for found in (weak, misleading):
        judged = if_powerful(found, claim)
        assert judged.outcome is Outcome.INCONCLUSIVE and judged.p_value == 1.0
        assert judged.because.endswith("this study cannot decide.")


def test_what_was_seen_needs_no_power_unless_the_truth_would_be_refuted_too():
    refuted = replace(explains(make(0)), outcome=Outcome.REFUTED, p_value=0.01)
    assert if_powerful(Power("", 0.1, 0.05), refuted, at_sight=Outcome.REFUTED).outcome is Outcome.REFUTED
    assert if_powerful(Power("", 0.1, 0.06), refuted, at_sight=Outcome.REFUTED).outcome is Outcome.INCONCLUSIVE
    assert if_powerful(Power("", 0.1, 0.0), refuted, at_sight=Outcome.SUPPORTED).outcome is Outcome.INCONCLUSIVE
    seen = replace(refuted, outcome=Outcome.SUPPORTED)
    assert if_powerful(Power("", 0.1, 0.9), seen, at_sight=Outcome.SUPPORTED).outcome is Outcome.SUPPORTED


def test_a_direction_that_loses_less_than_nothing_is_said_to_change_utility():
    table = candidates(0, n_pairs=70).assign(confirmed_lost=-0.002, confirmed_lost_error=0.0)
    for claim in settles.run(table).claims:
        assert (
            claim.estimate == -0.002 and "changes utility by 0.002 [" in claim.because and "loses" not in claim.because
        )


TRUE_WORLDS = {
    "small": (orthogonality, partial(readouts, n_pairs=100)),
    "utility": (frozen_norms, partial(frozen, n_pairs=24)),
    "m > 0": (one_mechanism, partial(vectors_and_lora, n_pairs=80)),
    "harmless displacement": (settles, partial(candidates, n_pairs=70)),
}
"""By a claim's part: worlds in which it is true as planted, with so few pairs that it is found in some of them."""


@pytest.mark.slow
@pytest.mark.parametrize("part", TRUE_WORLDS)
def test_the_power_that_a_study_finds_of_itself_is_that_of_such_studies(part, monkeypatch):
    """The share of true worlds in which the claim is found, before power has its say."""
    analysis, build = TRUE_WORLDS[part]
    powers = []
    monkeypatch.setattr(analysis, "if_powerful", lambda found, claim, **_: powers.append((claim, found)) or claim)
    for seed in range(10):
        analysis.run(build(seed=seed))
    own = [(claim.outcome is Outcome.SUPPORTED, found.found) for claim, found in powers if claim.part == part]
    found, predicted = np.mean(own, axis=0)
    assert predicted == pytest.approx(found, abs=0.25)
    assert 0.05 < predicted < 0.98


def test_planted_losses_grow_with_distance_whatever_the_measured_ones_do():
    rng = np.random.default_rng(0)
    m = np.array([-2.0, -1.0, 1.0, 2.0])
    distance = np.abs(m)[:, None] * np.exp(0.3 * rng.standard_normal(50))
    whole = Sampled(distance, np.zeros_like(distance))
    np.testing.assert_allclose(ByDistance(m, whole, 3 * distance).drawn(rng), 3 * distance)
    for lost in (-distance, np.sign(m)[:, None] * distance):
        means = ByDistance(m, whole, lost).drawn(rng).mean(axis=1)
        assert means[0] > means[1] and means[3] > means[2]


def test_a_few_tokens_of_each_pair_tell_no_more_than_they_do():
    """Means over all of 24 tokens, from four of them: drawn again they are as wide as the true ones, and as near to them."""
    rng = np.random.default_rng(0)
    n_pairs, n_tokens, n_read = 4000, 24, 4
    values = rng.standard_normal((n_pairs, 1)) + 3 * rng.standard_normal((n_pairs, n_tokens))
    true, token_pair = values.mean(axis=1), np.repeat(np.arange(n_pairs), n_read)
    found = Sampled.of(values[:, :n_read].reshape(1, -1), token_pair, np.full(n_pairs, n_tokens))
    (drawn,) = found.drawn(rng)
    assert drawn.std() == pytest.approx(true.std(), rel=0.05)
    assert np.corrcoef(drawn, found.means[0])[0, 1] == pytest.approx(np.corrcoef(true, found.means[0])[0, 1], abs=0.03)


def test_pairs_that_were_read_whole_are_not_drawn_elsewhere():
    rng = np.random.default_rng(0)
    found = Sampled.of(rng.standard_normal((2, 60)), np.repeat(np.arange(20), 3), np.full(20, 3))
    np.testing.assert_allclose(found.drawn(rng), found.means)


def test_shifts_that_are_alike_compare_no_pairs_whatever_their_distances_do():
    """A truth that distance does explain, and of which a vector could show nothing."""
    alike = explains(make(1, spread=0.0))
    assert alike.outcome is Outcome.INCONCLUSIVE and "says nothing of distance" in alike.because
    assert np.isnan(alike.estimate)
