"""Families of worlds, each tried at one size, and the sizes that worlds are made of."""

import numpy as np
import pytest
from worlds import FAMILIES, sizes
from worlds.curves import DEPARTURES, HEIGHTS, NOISE, SCALES, sweep

from analyses.studies.finished import Study
from mechsteer.statistics.judging import Outcome


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.world)
def test_a_claim_is_not_refuted_where_it_is_clearly_true(family, monkeypatch):
    monkeypatch.setattr("analyses.claims.rivals.N_RESAMPLES", 30)
    outcomes = {claim.part: claim.outcome for claim in family.judge(family.sizes[family.right], seed=1000).claims}
    assert set(family.parts) <= set(outcomes)
    assert Outcome.REFUTED not in [outcomes[part] for part in family.parts]


def test_the_sizes_read_from_a_world_are_those_it_was_made_of(tmp_path):
    found = sizes.sizes(Study(tmp_path, {}, (sweep(n_pairs=400),), {}))
    np.testing.assert_allclose(found.heights, HEIGHTS, rtol=0.1)
    np.testing.assert_allclose(found.scales, SCALES, rtol=0.15)
    np.testing.assert_allclose(found["departures, useful"], DEPARTURES, rtol=0.25)
    np.testing.assert_allclose(found.autocorrelation, 0.95, atol=0.1)
    assert (found.noise < 3 * NOISE).all()
