"""The control: a steer that works is credited, one that does no more than a random direction is not."""

import dataclasses

import pytest
from test_frontier import planted

from analyses.claims import random_control


def sweeps(gain: float, chance: float, n_pairs: int = 60):
    steer = planted(gain, noise=0.3, n_pairs=n_pairs)
    random = planted(chance, noise=0.3, n_pairs=n_pairs, seed=1)
    return [steer, dataclasses.replace(random, key=dataclasses.replace(random.key, method=random_control.METHOD))]


@pytest.mark.parametrize(
    ("gain", "chance", "n_pairs", "outcome"),
    [
        (3.0, 0.1, 60, "supported"),
        (3.0, 2.5, 60, "refuted"),
        (3.0, 0.75, 60, "inconclusive"),
        (3.0, 0.1, 12, "inconclusive"),
    ],
)
def test_credit_goes_to_what_a_random_direction_does_not_do(gain, chance, n_pairs, outcome):
    (claim,) = random_control.run(sweeps(gain, chance, n_pairs)).claims
    assert claim.outcome.value == outcome, claim.because


def test_without_a_random_direction_nothing_is_claimed():
    assert random_control.run(sweeps(3.0, 0.1)[:1]).claims == ()
