"""Intervals, resampling, and scores of predictions."""

import numpy as np
import pytest
from scipy import stats

from mechsteer.statistics.intervals import (
    ConfidenceInterval,
    SeedsEstimate,
    aicc,
    alternate_folds,
    autocorrelation,
    bootstrap_interval,
    constancy_p_value,
    percentile_interval,
    r_squared,
    resampled_means,
    resampled_squares,
)
from mechsteer.statistics.judging import Claim, Outcome, correct_for_many, judge, judge_all, p_value, p_words
from mechsteer.store.keys import Key


def mean_difference(first, second):
    return np.mean(first) - np.mean(second)


def test_an_interval_holds_what_lies_between_its_ends_and_refuses_to_be_inside_out():
    interval = ConfidenceInterval(-1.0, np.inf)
    assert 0 in interval and -1 in interval and -1.1 not in interval and np.nan not in interval
    with pytest.raises(ValueError, match="lower end first"):
        ConfidenceInterval(2.0, 1.0)
    with pytest.raises(ValueError, match=r"such as 0\.95"):
        ConfidenceInterval(1.0, 2.0, level=95)


def test_percentiles_of_a_normal_sample_are_its_quantiles():
    interval = percentile_interval(stats.norm.ppf((np.arange(10_000) + 0.5) / 10_000), level=0.9)
    np.testing.assert_allclose([interval.low, interval.high], stats.norm.interval(0.9), atol=2e-3)


def test_an_interval_is_open_where_the_estimates_are_and_unknown_where_one_is():
    estimates = np.append(np.zeros(90), np.full(10, np.inf))
    assert percentile_interval(estimates) == ConfidenceInterval(0.0, np.inf)
    assert np.isnan(percentile_interval(np.append(estimates, np.nan)).low)
    assert np.isnan(percentile_interval(np.zeros(0)).high)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_a_bootstrap_of_the_mean_agrees_with_students_t(method):
    sample = np.random.default_rng(0).normal(size=200)
    interval = bootstrap_interval(np.mean, sample, method=method)
    expected = stats.t.interval(0.95, 199, loc=sample.mean(), scale=stats.sem(sample))
    np.testing.assert_allclose([interval.low, interval.high], expected, atol=0.03)


def test_samples_are_drawn_together_so_that_what_they_share_cancels():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=100)
    paired = bootstrap_interval(mean_difference, shared + 1, shared)
    assert paired.low == pytest.approx(1) and paired.high == pytest.approx(1)
    unpaired = bootstrap_interval(mean_difference, rng.permutation(shared) + 1, shared)
    assert unpaired.high - unpaired.low > 0.3


def test_drawing_seeds_as_well_as_pairs_widens_the_interval_to_both_their_doubts():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (12, 1)) + rng.normal(0, 1, (1, 50))
    width = {
        axes: (interval := bootstrap_interval(np.mean, values, axes=axes)).high - interval.low
        for axes in [(0,), (1,), (0, 1)]
    }
    assert width[0, 1] == pytest.approx(np.hypot(width[0,], width[1,]), rel=0.1)


def test_a_bootstrap_says_what_it_cannot_do():
    with pytest.raises(ValueError, match=r"shapes \(3,\), \(4,\)"):
        bootstrap_interval(mean_difference, np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match="percentile"):
        bootstrap_interval(np.mean, np.zeros((3, 4)), axes=(0, 1), method="BCa")


def test_the_same_seed_draws_the_same_pairs():
    sample = np.random.default_rng(0).normal(size=30)
    assert bootstrap_interval(np.mean, sample, seed=3) == bootstrap_interval(np.mean, sample, seed=3)
    assert bootstrap_interval(np.mean, sample, seed=3) != bootstrap_interval(np.mean, sample, seed=4)


def test_resampled_means_scatter_as_the_standard_error_and_move_together():
    values = np.random.default_rng(0).normal(size=400)
    means = resampled_means(np.stack([values, 2 * values + 1]), n_resamples=4000)
    assert means[:, 0].std() == pytest.approx(stats.sem(values), rel=0.05)
    np.testing.assert_allclose(means[:, 1], 2 * means[:, 0] + 1)
    assert resampled_means(values[:, None], n_resamples=10).shape == (0, 400)


def test_the_square_of_a_mean_is_known_without_what_scatter_adds():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3, 40)) + 0.3
    products = values.T @ values
    assert resampled_squares(values, 0)[0] == pytest.approx((products.sum() - np.trace(products)) / (40 * 39))
    squares = np.array([resampled_squares(rng.standard_normal((3, 40)) + 0.3, 50, seed) for seed in range(400)])
    assert squares[:, 0].mean() == pytest.approx(0.27, abs=0.02)
    assert squares[:, 1:].mean() == pytest.approx(0.27, abs=0.02)


@pytest.mark.parametrize("noise", ["independent", "slopes of either sign"])
def test_a_constant_mean_is_seldom_thought_to_change(noise):
    multipliers = np.linspace(-1, 1, 11)[:, None]
    p_values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        change = rng.normal(size=(11, 60)) if noise == "independent" else multipliers * rng.normal(size=60)
        p_values.append(constancy_p_value(rng.normal(0, 3, size=60) + change, n_resamples=199, seed=seed))
    assert stats.binomtest(int(np.sum(np.array(p_values) <= 0.1)), 200, 0.1).pvalue > 0.01


def test_a_mean_that_changes_is_told_from_luck():
    rng = np.random.default_rng(0)
    values = np.linspace(-1, 1, 11)[:, None] + rng.normal(size=(11, 60))
    assert constancy_p_value(values) == pytest.approx(1 / 1000)
    assert np.isnan(constancy_p_value(values[:, :1]))


def test_r_squared_is_one_for_the_truth_zero_for_the_mean_and_unknown_for_a_constant():
    values = np.array([1.0, 2.0, 4.0])
    assert r_squared(values, values) == 1
    assert r_squared(values, np.full(3, values.mean())) == 0
    assert r_squared(values, values + 1, reference=values - 1) == 0
    assert np.isnan(r_squared(np.full(3, 0.1), np.zeros(3)))


def test_aicc_differences_are_those_of_an_autoregression_s_likelihood():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 30), np.cumsum(rng.normal(0, 2, 30))

    def from_likelihood(residuals, n_parameters):
        rho, k = autocorrelation(residuals), n_parameters + 2
        shape = rho ** np.abs(np.subtract.outer(np.arange(30), np.arange(30))) / (1 - rho**2)
        variance = residuals @ np.linalg.solve(shape, residuals) / 30
        log_likelihood = stats.multivariate_normal.logpdf(residuals, cov=variance * shape)
        return 2 * k - 2 * log_likelihood + 2 * k * (k + 1) / (30 - k - 1)

    ours = aicc(first, 3) - aicc(second, 8)
    assert ours == pytest.approx(from_likelihood(first, 3) - from_likelihood(second, 8))
    assert abs(autocorrelation(first)) < 0.3 < 0.7 < autocorrelation(second)


def test_aicc_admits_that_points_are_too_few_and_that_nothing_is_left_to_explain():
    residuals = np.random.default_rng(0).normal(size=12)
    assert aicc(residuals[:11], n_parameters=8) == np.inf
    assert np.isfinite(aicc(residuals, n_parameters=8))
    assert aicc(np.zeros(11), n_parameters=2) == -np.inf


def test_an_estimate_from_few_seeds_covers_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), []
    for _ in range(400):
        pairs, seeds = rng.normal(0, 1, 50), rng.normal(0, 1, 3)
        by_seed = 5 + seeds + pairs.mean()
        over_pairs = 5 + seeds.mean() + rng.choice(pairs, (200, 50)).mean(axis=1)
        covered.append(5.0 in SeedsEstimate.of(by_seed, over_pairs, 50).interval())
    assert 0.9 < np.mean(covered) < 0.99
    alone = SeedsEstimate.of(np.array([1.0]), rng.normal(1, 0.1, 1000), 200)
    assert alone.interval().low == pytest.approx(1 - 1.97 * 0.1, rel=0.1) and alone.p_value < 1e-6


def test_a_wrong_outcome_is_as_likely_as_its_tail():
    samples = np.random.default_rng(0).normal(1.0, 0.5, 100_000)
    assert p_value(samples, (0.0, np.inf), Outcome.SUPPORTED) == pytest.approx(2 * stats.norm.sf(2), rel=0.1)
    assert p_value(samples, (-np.inf, 0.0), Outcome.REFUTED) == pytest.approx(2 * stats.norm.sf(2), rel=0.1)
    assert p_value(samples[:50] + 3, (0.0, np.inf), Outcome.SUPPORTED) < 1e-6
    # Of what is undecided, the likelier outcome's.
    for bounds in ((1.5, np.inf), (-np.inf, 1.5)):
        assert p_value(samples, bounds, Outcome.INCONCLUSIVE) == pytest.approx(2 * stats.norm.sf(1), rel=0.1)
    assert np.isnan(p_value(np.append(samples, np.nan), (0.0, np.inf), Outcome.SUPPORTED))


def test_infinite_resamples_lie_beyond_any_bound():
    samples = np.append(np.full(60, np.inf), np.random.default_rng(0).normal(0, 1, 940))
    assert p_value(samples, (-np.inf, 10.0), Outcome.SUPPORTED) == pytest.approx(0.12)
    assert p_value(np.full(1000, np.inf), (-np.inf, 1.0), Outcome.REFUTED) == pytest.approx(2 / 1002)


def test_studies_that_report_any_false_outcome_stay_rare_where_most_claims_are_undecided():
    """Every truth lies on its bound, so each outcome is false in a twentieth of the tests, and all others are undecided."""
    rng, key, any_false = np.random.default_rng(0), Key(), {True: [], False: []}
    for _ in range(200):
        claims = []
        for estimate in rng.standard_normal(30):
            interval, samples = (
                ConfidenceInterval(estimate - 1.96, estimate + 1.96),
                estimate + rng.standard_normal(4000),
            )
            outcome = judge(interval, (0.0, np.inf))
            p = p_value(samples, (0.0, np.inf), outcome)
            claims.append(Claim("a", "", key, estimate, "", interval, "", outcome, "", p))
        decided = [claim for claim in claims if claim.outcome is not Outcome.INCONCLUSIVE]
        for counted, some in ((True, claims), (False, decided)):
            any_false[counted].append(
                any(claim.outcome is not Outcome.INCONCLUSIVE for claim in correct_for_many(some))
            )
    assert np.mean(any_false[True]) < 0.1
    # What counting the decided alone would come to.
    assert np.mean(any_false[False]) > 0.3


def test_a_single_pair_bounds_nothing():
    alone = SeedsEstimate.of(np.array([1.0]), np.ones(100), 1)
    assert alone.p_value == 1.0 and np.isinf([alone.interval().low, alone.interval().high]).all()


def test_what_asks_several_things_holds_if_all_do_and_not_if_any_does_not():
    yes, no, open_ = Outcome.SUPPORTED, Outcome.REFUTED, Outcome.INCONCLUSIVE
    assert judge_all([yes, yes]) is yes and judge_all([yes, open_]) is open_
    assert judge_all([yes, open_, no]) is no and judge_all([]) is open_


def test_folds_alternate():
    assert alternate_folds(5).tolist() == [0, 1, 0, 1, 0]


def test_a_p_value_that_no_resample_tells_is_told_as_small_and_never_as_zero():
    assert [p_words(p) for p in (0.0, 9e-5, 1e-4, 0.0123, 1.0)] == ["< 0.0001", "< 0.0001", "0.0001", "0.012", "1"]
