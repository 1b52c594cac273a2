"""The mixture by token that activations must be nearer than: it knows a token's cloud, and no structure in it."""

from dataclasses import replace

import numpy as np
import pytest
from worlds.manifold import cloud, clustered, flat, make

from analyses.claims import manifold_exists
from analyses.claims.mixture import ENOUGH, LEAST, Tokens, mixture
from mechsteer.statistics.judging import Outcome

D = 6


def tokens(ids, positions=0) -> Tokens:
    ids = np.asarray(ids)
    return Tokens(ids, np.broadcast_to(positions, ids.shape))


def two_clouds(n: int, rng: np.random.Generator, wider: int = 3) -> tuple[np.ndarray, Tokens]:
    """Of tokens 0 and 1, at -10 and 10; the second is so much wider."""
    ids = np.arange(2 * n) % 2
    return (20 * ids - 10)[:, None] + np.array([1, wider])[ids, None] * rng.normal(size=(2 * n, D)), tokens(ids)


@pytest.mark.slow
def test_its_points_have_the_mean_and_the_scatter_of_their_own_token():
    rng = np.random.default_rng(0)
    learning, learnt = two_clouds(2000, rng)
    for token, mean, width in ((0, -10, 1), (1, 10, 3)):
        found, known = mixture(learning, learnt, tokens(np.full(4000, token)), rng)
        assert known.all()
        np.testing.assert_allclose(found.mean(axis=0), mean, atol=0.2)
        np.testing.assert_allclose(np.cov(found.T), width**2 * np.eye(D), atol=0.12 * width**2)


def test_a_cloud_of_few_is_as_wide_as_one_more_of_its_tokens_would_scatter_around_their_mean():
    squares = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        learning, learnt = two_clouds(LEAST, rng, wider=1)
        found, _ = mixture(learning, learnt, tokens([0, 1]), rng)
        squares.append((found - [[-10], [10]]).ravel() ** 2)
    # A variance of the point, one third for the mean of three, and one third for the point's being around that mean.
    assert np.mean(squares) == pytest.approx(1 + 2 / LEAST, rel=0.1)


def test_a_token_s_own_stretch_of_positions_counts_where_enough_of_it_was_learnt():
    rng = np.random.default_rng(0)
    position = np.repeat(np.arange(4), 2 * ENOUGH)
    learning = 100.0 * position[:, None] + rng.normal(size=(len(position), D))
    found, _ = mixture(learning, tokens(np.zeros_like(position), position), tokens(np.zeros(4, int), np.arange(4)), rng)
    np.testing.assert_allclose(found.mean(axis=1), 100 * np.arange(4), atol=5)
    few = slice(None, None, 4)
    found, _ = mixture(
        learning[few], tokens(np.zeros_like(position[few]), position[few]), tokens(np.zeros(200, int), 0), rng
    )
    assert found.mean() == pytest.approx(150, abs=40)


def test_of_a_token_that_was_not_learnt_it_says_nothing():
    rng = np.random.default_rng(0)
    learning, learnt = two_clouds(ENOUGH, rng)
    found, known = mixture(learning, learnt, tokens([0, 7, 1, 7]), rng)
    assert known.tolist() == [True, False, True, False] and len(found) == 2


@pytest.mark.slow
def test_clusters_are_nearer_than_a_gaussian_and_no_manifold():
    result = manifold_exists.run(clustered(1000, n_learning=2000))
    distance = result.claims[0]
    curve = result.tables["curve"].query("share == 0.5").set_index("points").distance
    assert curve["held out"] < 0.5 * curve["gaussian"]
    assert distance.outcome is Outcome.REFUTED and distance.estimate == pytest.approx(1, abs=0.06)


@pytest.mark.slow
def test_where_no_token_was_learnt_nothing_is_decided():
    evidence = make(1000)
    strange = replace(evidence, token_id=evidence.token_id + 100)
    for claim in manifold_exists.run(strange).claims:
        assert claim.outcome is Outcome.INCONCLUSIVE and "learnt from often enough" in claim.because


@pytest.mark.slow
@pytest.mark.parametrize("points", (flat, cloud))
def test_points_that_know_only_their_token_fill_no_fewer_dimensions_than_a_mixture(points):
    """However few of the model's directions they fill."""
    for seed in range(3):
        dimension = manifold_exists.run(make(seed, points=points, n_pairs=80, n_learning=1000)).claims[1]
        assert dimension.outcome is not Outcome.SUPPORTED and dimension.estimate == pytest.approx(1, abs=0.15)


@pytest.mark.slow
def test_tokens_that_were_learnt_in_the_same_text_are_not_unseen():
    """They lie on a learnt token, and so would read as a point."""
    evidence = make(1000, points=cloud, n_pairs=80)
    read, again = evidence.layers[0], np.arange(0, 320, 2)
    base, ids = read.base.copy(), evidence.token_id.copy()
    base[again], ids[again] = read.learning[again], evidence.learning_token_id[again]
    met = replace(evidence, token_id=ids, layers={0: replace(read, base=base)})
    assert manifold_exists.run(met).claims[1].estimate == pytest.approx(1, abs=0.15)


@pytest.mark.slow
def test_a_torus_reads_as_two_dimensions_where_the_scale_is_coarser_than_its_noise():
    scale = manifold_exists.run(make(1000, n_pairs=250)).tables["scale"]
    torus = scale[scale.points == "held out"]
    by_neighbours, by_kept = torus[torus.kept == 1].estimate, torus[torus.n_neighbours == 5].estimate
    assert (np.diff(by_neighbours) < 0).all() and (np.diff(by_kept) < 0).all()
    assert by_neighbours.iloc[0] > 2.8 and by_neighbours.iloc[-1] == pytest.approx(2, abs=0.3)
    assert (scale[scale.points == "all directions"].estimate > 8).all()
