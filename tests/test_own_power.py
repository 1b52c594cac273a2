"""Power on a study's own activations: what would be found there if it were true, and what a few tokens say of a pair."""

from dataclasses import replace

import numpy as np
import pytest
from worlds.manifold import make

from analyses.claims import off_manifold
from analyses.claims.power import N_PLANTED, Power, if_powerful, power
from analyses.claims.sampled import Sampled
from mechsteer.statistics.judging import Outcome


def explains(evidence):
    return next(claim for claim in off_manifold.run(evidence).claims if claim.part == "explains")


def test_power_is_the_share_of_planted_truths_that_are_found():
    """Of a verdict that finds seven in ten, by a coin of its own."""

    def planted(rng):
        return Outcome.SUPPORTED if rng.random() < 0.7 else Outcome.REFUTED

    found = power(planted, seed=3, n=2000)
    assert found.found == pytest.approx(0.7, abs=0.04) and found.found + found.refuted == pytest.approx(1)
    assert power(planted, seed=3) == power(planted, seed=3)
    assert N_PLANTED * power(planted).found == round(N_PLANTED * power(planted).found)


@pytest.mark.parametrize("outcome", [Outcome.SUPPORTED, Outcome.REFUTED])
def test_a_claim_without_power_is_undecided_either_way(outcome):
    claim = replace(explains(make(0)), outcome=outcome, p_value=0.01)
    weak, misleading, strong = Power(0.79, 0.0), Power(0.94, 0.06), Power(0.8, 0.05)
    assert if_powerful(strong, claim).outcome is outcome
    for found in (weak, misleading):
        judged = if_powerful(found, claim)
        assert judged.outcome is Outcome.INCONCLUSIVE and np.isnan(judged.p_value)
        assert judged.because.endswith("this study cannot decide.")


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
