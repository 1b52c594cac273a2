"""Preference and utility: the laws of eqs. 7 and 8, against exact arithmetic."""

from fractions import Fraction
from math import log

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mechsteer as ms

LOSSES = np.random.default_rng(0).exponential(20, size=(2, 500)) + np.log(2)


def test_swapping_the_pair_negates_preference_and_keeps_utility():
    positive, negative = LOSSES
    assert_allclose(ms.preference_log_odds(positive, negative), -ms.preference_log_odds(negative, positive))
    assert_allclose(ms.utility_log_odds(positive, negative), ms.utility_log_odds(negative, positive))


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (Fraction(1, 3), Fraction(1, 5)),
        (Fraction(1, 10**9), Fraction(1, 10**12)),
        (Fraction(1, 2), Fraction(499_999, 10**6)),
    ],
)
def test_log_odds_equal_exact_arithmetic(p, q):
    losses = -np.log([[float(p)], [float(q)]])
    u = p + q
    assert_allclose(ms.utility_log_odds(*losses), log(u / (1 - u)), rtol=1e-9)
    assert_allclose(ms.preference_log_odds(*losses), log(p / q), rtol=1e-9)


def test_the_events_of_a_pair_factor_into_utility_and_preference():
    """P(A_p|q) = P(u|q) P(p_p|q): from both log-odds the two losses come back."""
    preference, utility = ms.preference_log_odds(*LOSSES), ms.utility_log_odds(*LOSSES)
    useful, positive = (-np.logaddexp(0, -odds) for odds in (utility, preference))
    assert_allclose(-(useful + positive), LOSSES[0], rtol=1e-9)


def test_a_pair_that_holds_probability_one_or_more_has_no_utility():
    utility = ms.utility_log_odds(np.array([0.1, log(2), 3.0]), np.array([0.2, log(2), 4.0]))
    assert np.isnan(utility).tolist() == [True, True, False]


def test_utility_stays_finite_for_losses_of_thousands_of_nats():
    assert_allclose(ms.utility_log_odds(np.array([5000.0]), np.array([6000.0])), -5000)
