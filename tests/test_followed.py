"""What the page follows of a steer is what the claims say of it, from fewer pairs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import random_intervention
from numpy.testing import assert_array_equal

import mechsteer as ms
from analyses.claims import activation_map
from analyses.claims.off_manifold import distance_table, growth_of, manifolds_of
from analyses.claims.tokens import by_pair
from analyses.evidence.collection import collect
from analyses.evidence.followed import N_PAIRS, LearningTokens, follow, learning_tokens
from analyses.studies.plan import Subjects, plan
from analyses.studies.settings import Settings
from mechsteer.models.identity import ModelReference

GRID = np.array([-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0])


@pytest.fixture(scope="module")
def pairs(shared) -> tuple[ms.Pairs, ms.Pairs]:
    """Some to learn from, and more to measure than are followed."""
    folder = shared / "data/story_mood"
    return ms.load_pairs(folder / "train.jsonl")[:40], ms.load_pairs(folder / "validation.jsonl")[: 2 * N_PAIRS]


def test_what_is_followed_is_what_evidence_says_within_the_noise_of_pairs(stories, pairs, tmp_path):
    steer = random_intervention("lora", ms.Site(2, "resid_mid"), stories)
    learning, testing = pairs
    sweep = ms.run_sweep(stories, steer, testing, GRID, progress=False)
    learning_tokens(stories, learning, steer.site, sweep.key.prompt_format, 0).save(tmp_path)
    known = LearningTokens.load(tmp_path)
    found = follow(stories, steer, learning, testing, sweep, known)
    learnt = ms.run_sweep(stories, steer, learning, [-1.0, 0.0, 1.0], progress=False)
    evidence = collect(stories, steer, learning, testing, sweep, learnt)
    expected = pd.concat(
        distance_table(
            evidence.multipliers,
            {
                name: by_pair(growth, evidence.token_pair)
                for name, growth in growth_of(read, manifolds_of(read.learning)).items()
            },
            0,
        ).assign(layer=layer)
        for layer, read in evidence.layers.items()
    )
    both = found["distance"].merge(expected, on=["distance", "layer", "multiplier"], suffixes=("", "_full"))
    assert len(both) == len(found["distance"]) == len(expected)
    assert set(found["distance"].n_pairs) == {N_PAIRS} and len(np.unique(evidence.token_pair)) > N_PAIRS
    spread = np.hypot(both.high - both.low, both.high_full - both.low_full) / (2 * 1.96)
    assert (np.abs(both.growth - both.growth_full) < 3 * spread + 1e-6).all()
    # The map is that of the claim: the same tokens, in the same places.
    ground = [
        table.loc[table.token < 0, ["x", "y"]]
        for table in (found["places"], activation_map.run(evidence).tables["place"])
    ]
    assert_array_equal(*ground)
    assert set(found["places"].multiplier.dropna()) == set(GRID)


def test_too_few_learning_tokens_are_said_to_be_too_few(stories, pairs, tmp_path):
    steer = random_intervention("vector", ms.Site(2, "resid_mid"), stories)
    sweep = ms.run_sweep(stories, steer, pairs[1][:2], [-1.0, 0.0, 1.0], progress=False)
    learning_tokens(stories, pairs[0][:2], steer.site, sweep.key.prompt_format, 0).save(tmp_path)
    with pytest.raises(ms.InputError, match="distinct tokens of learning pairs were read; 50 are needed"):
        follow(stories, steer, pairs[0][:2], pairs[1][:2], sweep, LearningTokens.load(tmp_path))


def test_every_steer_of_the_first_seed_is_followed_by_its_evidence_or_without(pairs):
    subjects = Subjects(ModelReference("w", "t", "float32", n_layers=4), *pairs, others=())
    settings = Settings(multipliers="-1:1:5", seeds=2, claims=("DiffMean-vector", "SPLIT-lora"))
    planned = plan(settings, subjects, "1:resid_post")
    first = {sweep for sweep in planned.sweeps if sweep.steer.seed in (None, 0)}
    followed = {unit.sweep for unit in planned.followed}
    # Of the second steer that claims are asked of there is no map.
    assert followed == first - {planned.evidence[0].sweep} and planned.evidence[1].sweep in followed
    assert len({unit.map for unit in planned.followed}) == 1, "one map for all steers of a site"
    assert not plan(replace(settings, rule="rotate"), subjects, "1:resid_post").followed
    assert not plan(settings, subjects, "1:resid_post,2:resid_post").followed
