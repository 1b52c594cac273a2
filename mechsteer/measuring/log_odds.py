"""Preference and utility of polarity pairs, on one log-odds scale (arXiv 2602.02343, eqs. 7-8).

Losses are negative log-likelihoods in nats, **summed** over a completion's tokens. With means per token the two
probabilities can add up to more than one, and utility has no log-odds.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray


def preference_log_odds(
    loss_positive: Float[ndarray, "*pairs"], loss_negative: Float[ndarray, "*pairs"]
) -> Float[ndarray, "*pairs"]:
    """log P(positive) / P(negative), in nats (eq. 7)."""
    return np.asarray(loss_negative, np.float64) - np.asarray(loss_positive, np.float64)


def log_useful_probability(
    loss_positive: Float[ndarray, "*pairs"], loss_negative: Float[ndarray, "*pairs"]
) -> Float[ndarray, "*pairs"]:
    """log(P(positive) + P(negative)), in nats: log P(u) of eq. 6."""
    # Of a loss that is not a number nothing is said; whoever made it says so.
    with np.errstate(invalid="ignore"):
        return np.logaddexp(-np.asarray(loss_positive, np.float64), -np.asarray(loss_negative, np.float64))


def utility_log_odds(
    loss_positive: Float[ndarray, "*pairs"], loss_negative: Float[ndarray, "*pairs"]
) -> Float[ndarray, "*pairs"]:
    """log U / (1 - U) with U = P(positive) + P(negative), in nats (eq. 8); NaN where U is one or more.

    Such a pair has no utility log-odds. It is left undefined, to be counted and reported, never clamped.
    """
    log_useful = log_useful_probability(loss_positive, loss_negative)
    defined = log_useful < 0
    safe = np.where(defined, log_useful, -1.0)
    # log(1 - e^x): each form is accurate on its own side of log 2 (Maechler 2012).
    log_useless = np.where(safe > -np.log(2), np.log(-np.expm1(safe)), np.log1p(-np.exp(safe)))
    return np.where(defined, safe - log_useless, np.nan)
