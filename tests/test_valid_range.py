"""The useful range by log-odds beside that in which answers stay valid: where each ends, and what is known where one is open."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import isotonic_regression
from worlds.manifold import make

from analyses.claims import validity
from analyses.claims.valid_range import Ends, Ratio, falling, valid_ends
from mechsteer.measuring.useful import exceeded
from mechsteer.statistics.judging import Outcome

M = np.array([-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0])
N = np.full(7, 1000)


def test_a_limit_is_met_on_a_line_between_multipliers_or_nowhere():
    curves = np.array([[9.0, 0, 0, 0, 1, 3, 0], [0, 0, 0, 0, 0, 0, 0.0]])
    limit = np.array([2.0, 2.0])
    np.testing.assert_allclose(exceeded(M, curves, limit, 1), [1.5, np.inf])
    np.testing.assert_allclose(exceeded(M, curves, limit, -1), [-2 - 2 * 2 / 9, -np.inf])


def test_what_falls_is_fitted_as_isotonic_regression_does():
    rng = np.random.default_rng(0)
    values, n = rng.uniform(size=(50, 7)), rng.integers(1, 100, 7)
    expected = [isotonic_regression(row, weights=n, increasing=False).x for row in values]
    np.testing.assert_allclose(falling(values, n), expected, atol=1e-12)


def test_answers_stay_valid_up_to_where_a_tenth_is_lost():
    valid = np.array([0.0, 0.9, 1.0, 1.0, 1.0, 0.8, 0.0])
    ends = valid_ends(M, valid, N, 0.1, 500, 0)
    np.testing.assert_allclose(ends.found[:, 0], [2, 1.5])
    np.testing.assert_allclose(ends.found[:, 1:].mean(axis=1), [2, 1.5], atol=0.05)


def test_one_unlucky_sample_within_the_range_does_not_end_it():
    valid = np.array([0.0, 0.5, 0.95, 0.97, 0.86, 0.97, 0.5])
    assert valid_ends(M, valid, N, 0.1, 10, 0).found[1, 0] > 2


def test_where_the_checker_finds_no_end_the_ratio_is_at_most_what_was_measured():
    promised = Ends(np.full((2, 3), 2.0), np.array([8.0, 8.0]))
    checked = Ends(np.full((2, 3), np.inf), np.array([4.0, 4.0]))
    ratio = Ratio.of(promised, checked)
    assert (ratio.low == 0).all() and (ratio.high == 0.5).all() and ratio.estimate == 0.5
    other = Ratio.of(checked, promised)
    assert (other.low == 2).all() and np.isinf(other.high).all() and other.estimate == 2


def test_two_open_ranges_decide_nothing():
    evidence = make(1000)
    sweep, zero = evidence.sweep, evidence.sweep.zero
    still = {name: np.broadcast_to(getattr(sweep, name)[zero], sweep.loss_positive.shape) for name in LOSSES}
    idle = replace(evidence, sweep=replace(sweep, **still), answers=evidence.answers.assign(valid=0.97))
    level = next(claim for claim in validity.run(idle).claims if claim.part == "level")
    assert level.outcome is Outcome.INCONCLUSIVE and level.interval.low == 0 and np.isinf(level.interval.high)


LOSSES = ("loss_positive", "loss_negative")


@pytest.mark.slow
def test_the_ratio_is_the_planted_one():
    found = []
    for seed in range(1000, 1004):
        result = validity.run(make(seed, nats=2.0, n_pairs=200, promised=1.5))
        found.append(next(claim.estimate for claim in result.claims if claim.part == "level"))
        ranges = result.tables["range"].set_index("side")
        assert (ranges.useful_low < ranges.useful).all() and (ranges.valid < ranges.valid_high).all()
    assert np.mean(found) == pytest.approx(1.5, rel=0.05)
