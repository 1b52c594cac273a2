"""The frontier: known curves give known gains, and the unit of the multiplier does not matter."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose
from worlds.losses import sweep_of

import mechsteer as ms
from mechsteer.measuring.useful import useful_range


def planted(gain, multipliers=None, n_pairs=60, noise=0.0, seed=0, unit=1.0) -> ms.Sweep:
    """Preference gain·m and utility -20 - m², in a multiplier of which `unit` is one."""
    m = np.linspace(-4, 4, 41) if multipliers is None else multipliers
    spread = noise * np.random.default_rng(seed).standard_normal(n_pairs)
    preference = m[:, None] * (gain + spread)
    return sweep_of(m * unit, preference, np.repeat(-20 - m[:, None] ** 2, n_pairs, axis=1))


def test_gains_of_known_curves_are_known():
    found = ms.frontier([planted(3.0)])
    assert_allclose(found.gained, 3 * np.sqrt(found.budgets), rtol=0.02)
    assert_allclose(found.gained_by_side, np.stack([found.gained] * 2), rtol=1e-6)
    assert_allclose(found.area, 3 * 2 / 3 * np.sqrt(0.5), rtol=0.02)
    assert_allclose(found.multiplier[1], np.sqrt(found.budgets), rtol=0.02)
    assert_allclose(found.multiplier[0], -found.multiplier[1], rtol=1e-6)
    # A gain of g nats takes m = g / 3, which costs its square.
    assert_allclose(found.cost, np.tile((np.array([2, 4, 8]) / 3) ** 2, (2, 1)), rtol=0.02)
    assert np.isinf(ms.frontier([planted(1.0)]).cost[:, 2]).all()


def test_the_unit_of_the_multiplier_does_not_matter():
    one, other = ms.frontier([planted(2.0, noise=0.5)]), ms.frontier([planted(2.0, noise=0.5, unit=1000.0)])
    assert_allclose(one.gained_samples, other.gained_samples, rtol=1e-9)


def test_a_steer_that_moves_the_wrong_way_gains_less_than_nothing_at_most_zero():
    assert_allclose(ms.frontier([planted(-2.0)]).gained, 0, atol=1e-9)


def test_intervals_cover_the_truth_at_about_their_level():
    covered = [
        3.0 in ms.frontier([planted(3.0, noise=1.0, seed=seed)], n_resamples=200).interval(1.0) for seed in range(100)
    ]
    assert 0.87 <= np.mean(covered) <= 1.0


def test_differences_are_paired_by_pair():
    """Two steers with the same noise over pairs differ by a constant, so the difference is sharper than either area."""
    one, other = ms.frontier([planted(3.0, noise=1.0)]), ms.frontier([planted(2.5, noise=1.0)])
    difference = one.area_difference(other)
    interval = difference.interval()
    assert_allclose(difference.estimate, 0.5 * 2 / 3 * np.sqrt(0.5), rtol=0.02)
    assert difference.p_value < 1e-6 and 0 < interval.low <= interval.high
    assert interval.high - interval.low < 0.2 * (one.area_interval.high - one.area_interval.low)


def test_seeds_that_disagree_widen_the_interval():
    same = ms.frontier([planted(3.0)] * 3)
    different = ms.frontier([planted(gain) for gain in (2.0, 3.0, 4.0)])
    assert_allclose(same.area, different.area, rtol=1e-6)
    assert different.area_interval.high - different.area_interval.low > 1
    assert same.area_interval.high - same.area_interval.low < 1e-6


def test_differences_are_paired_by_training_seed():
    """Where a seed that suits one method suits the other as well, few seeds tell them apart."""
    gains = (2.0, 3.0, 4.0)
    one, other = (ms.frontier([planted(gain + more) for gain in gains]) for more in (0.5, 0.0))
    assert 0 not in one.area_difference(other).interval()
    assert 0 in one.area_difference(ms.frontier([planted(gain) for gain in gains[::-1]])).interval()
    # What is not trained is set against each seed.
    assert one.area_difference(ms.frontier([planted(3.5)])).estimate == pytest.approx(0, abs=1e-6)
    with pytest.raises(ms.InputError, match="3 and 2 came"):
        one.area_difference(ms.frontier([planted(2.0), planted(3.0)]))


def test_utility_is_lost_by_the_mass_of_both_texts():
    """Of two short answers that have all of it but a hundredth, the log-odds fall by nats before the answers lose a tenth."""
    m = np.linspace(-4, 4, 41)
    mass = 0.99 * np.exp(-(m**2))[:, None] * np.ones((1, 30))
    steer = sweep_of(m, 3 * m[:, None] * np.ones((1, 30)), np.log(mass / (1 - mass)))
    assert_allclose(steer.lost, np.repeat(m[:, None] ** 2, 30, axis=1), atol=1e-9)
    assert_allclose(useful_range(steer), (-np.sqrt(0.5), np.sqrt(0.5)), rtol=0.02)
    assert_allclose(ms.frontier([steer]).gained[3], 3 * np.sqrt(0.5), rtol=0.02)


def test_a_frontier_needs_both_sides_of_zero():
    with pytest.raises(ms.InputError, match="both sides"):
        ms.frontier([planted(1.0, np.linspace(0, 3, 5))])


def test_the_relative_shift_of_several_seeds_is_the_mean_of_each_one_s_own():
    one, other = planted(3.0), planted(3.0, unit=100.0)
    other = dataclasses.replace(other, relative_shift=one.relative_shift)
    both = ms.frontier([one, other]).relative_shift
    assert_allclose(both, ms.frontier([one]).relative_shift, rtol=1e-6)


def dipping(m: np.ndarray, lost: list[float]) -> ms.Sweep:
    """Preference 3·m, and a loss that is given at each multiplier above zero; below it, m²."""
    below = m[m <= 0]
    loss = np.concatenate([below**2, lost])
    return sweep_of(m, np.repeat(3 * m[:, None], 20, axis=1), np.repeat(-20 - loss[:, None], 20, axis=1))


def test_a_guarded_frontier_ends_where_a_budget_is_first_exceeded():
    m = np.array([-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0])
    sweep = dipping(m, [0.2, 0.8, 0.3, 2.0])
    free, guarded = (ms.frontier([sweep], budgets=(0.5,), is_guarded=is_guarded) for is_guarded in (False, True))
    assert free.multiplier[1, 0] > 3
    assert guarded.multiplier[1, 0] == pytest.approx(1.5, abs=0.02) == useful_range(sweep)[1]
    assert guarded.gained_by_side[1, 0] == pytest.approx(4.5, abs=0.05)


def test_a_frontier_says_where_the_sweep_ends_too_soon():
    m = np.array([-4.0, -2.0, -1.0, 0.0, 1.0, 2.0])
    found = ms.frontier([dipping(m, [0.1, 0.3])], budgets=(0.25, 0.5))
    assert found.is_open.tolist() == [[False, False], [False, True]]
