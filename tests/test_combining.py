"""Estimates combined: against published numbers, Student's closed form, and drawn worlds whose mean is known."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control, ttest_1samp

from mechsteer.statistics.combining import between_variance, combine
from mechsteer.statistics.judging import holm

BCG = np.array([
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600),
    (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
])  # fmt: skip
"""Thirteen trials of a vaccine (Colditz et al. 1994): cases and others, treated and untreated."""


def log_risk_ratios() -> tuple[np.ndarray, np.ndarray]:
    treated, healthy, control, control_healthy = BCG.T
    n, m = treated + healthy, control + control_healthy
    return np.log(treated / n / (control / m)), 1 / treated - 1 / n + 1 / control - 1 / m


def test_random_effects_are_those_that_are_published_of_the_vaccine_trials():
    # REML of the same data in metafor (Viechtbauer 2010).
    y, variance = log_risk_ratios()
    between = between_variance([(y, variance)])
    weights = 1 / (variance + between)
    assert (between, 1 / np.sqrt(weights.sum())) == pytest.approx((0.3132, 0.1798), abs=1e-4)
    found = combine(y.tolist(), np.sqrt(variance).tolist(), [])
    assert found.estimate == pytest.approx(-0.7145, abs=1e-4)
    # Hartung and Knapp's is the error of a weighted mean by least squares, with Student's interval.
    _, covariance = np.polyfit(np.arange(13.0), y, 0, w=np.sqrt(weights), cov=True)
    assert found.error == pytest.approx(np.sqrt(covariance[0, 0])) and found.freedom == 12


def test_of_balanced_cells_the_interval_is_student_s_over_the_means_of_models():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(4, 1, 1)) + rng.normal(size=(4, 3, 2)) / 3
    model, concept = np.indices((4, 3, 2))[:2]
    found = combine(y.ravel().tolist(), [0.01] * y.size, [model.ravel().tolist(), concept.ravel().tolist()])
    low, high = ttest_1samp(y.mean(axis=(1, 2)), 0).confidence_interval(0.95)
    assert (found.interval().low, found.interval().high) == pytest.approx((low, high), rel=1e-3)
    assert (found.n_groups, found.level, found.freedom) == (4, 0, 3)


def test_with_one_model_it_is_over_concepts_and_a_single_cell_keeps_its_own_interval():
    over = combine([1.0, 2.0, 3.0], [0.1] * 3, [["a"] * 3, ["x", "y", "z"]])
    assert (over.estimate, over.level, over.n_groups) == (pytest.approx(2.0), 1, 3)
    one = combine([1.0], [0.5], [["a"], ["x"]]).interval()
    assert (one.low, one.high) == pytest.approx((1 - 0.98, 1 + 0.98), abs=1e-3)


def test_cells_that_agree_by_luck_claim_no_more_than_they_know():
    found = combine([1.0, 1.0, 1.0], [0.3] * 3, [["a", "b", "c"]])
    assert found.error == pytest.approx(0.3 / np.sqrt(3)) and found.spread == 0


@pytest.mark.parametrize("between", [0.0, 1.0])
def test_the_interval_of_few_models_holds_the_mean_nineteen_times_in_twenty(between):
    rng, n, held = np.random.default_rng(1), 60, 0
    model, concept = (axis.ravel().tolist() for axis in np.indices((3, 3)))
    for _ in range(n):
        error = rng.uniform(0.2, 1.0, size=9)
        y = between * rng.normal(size=3).repeat(3) + 0.5 * rng.normal(size=9) + error * rng.normal(size=9)
        held += 0.0 in combine(y.tolist(), error.tolist(), [model, concept]).interval()
    # Three standard errors of a share of 60.
    assert held / n > 0.95 - 3 * np.sqrt(0.05 * 0.95 / n)


def test_corrections_are_those_of_the_closed_forms():
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert false_discovery_control(p) == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_a_study_without_doubt_does_not_outvote_all_others():
    exact = combine([1.0, 0.2, 1.0], [0.0, 0.1, 0.0], [["a", "b", "c"]]).interval()
    assert exact.low < 0.5 < exact.high
    assert combine([1.0, 1.0], [0.0, 0.0], [["a", "b"]]).estimate == 1.0
