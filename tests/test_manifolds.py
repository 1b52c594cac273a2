"""Manifolds: laws that every member keeps, and each against an independent route."""

import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from scipy.stats import binomtest, chi2, special_ortho_group
from sklearn.covariance import OAS, ShrunkCovariance
from sklearn.decomposition import PCA
from worlds.manifold import READ, make
from worlds.manifold import D as WIDTH

from analyses.claims import activation_map
from analyses.evidence.evidence import LayerActivations
from mechsteer.errors import InputError
from mechsteer.manifolds import (
    Gaussian,
    LocalTangent,
    Manifold,
    Map,
    Neighbours,
    Subspace,
    grouped_dimensions,
    intrinsic_dimensions,
    load_manifold,
)
from mechsteer.manifolds.intrinsic_dimension import maximum_likelihood, participation_ratio, two_nn
from mechsteer.manifolds.map import neighbour_graph
from mechsteer.manifolds.moments import Moments
from mechsteer.manifolds.nearest import nearest_points
from mechsteer.manifolds.sample import Sample

MEMBERS = Manifold.__subclasses__()
every_member = pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.__name__)

D, DIMENSION, NOISE = 12, 3, 0.02
ROTATION = special_ortho_group.rvs(D, random_state=0)
NORMAL = ROTATION[-1]
"""A direction in which the points below hardly vary."""


def plane(n, seed=0, dtype=np.float64):
    """Points of a three-dimensional plane in twelve, with a little noise."""
    rng = np.random.default_rng(seed)
    spread = np.append([3.0, 2.0, 1.5], np.full(D - DIMENSION, NOISE))
    return (rng.normal(size=(n, D)) * spread @ ROTATION + 1).astype(dtype)


def sphere(n, dimension, seed=0, d=8):
    x = np.random.default_rng(seed).normal(size=(n, dimension + 1))
    return np.pad(x / np.linalg.norm(x, axis=1, keepdims=True), ((0, 0), (0, d - dimension - 1)))


def swiss_roll(n, seed=0):
    rng = np.random.default_rng(seed)
    turn = 1.5 * np.pi * (1 + 2 * rng.random(n))
    return np.stack([turn * np.cos(turn), 21 * rng.random(n), turn * np.sin(turn)], axis=1)


def noisy_plane(n, dimension, seed=0, d=20):
    rng = np.random.default_rng(seed)
    return np.pad(rng.normal(size=(n, dimension)), ((0, 0), (0, d - dimension))) + 1e-3 * rng.normal(size=(n, d))


@pytest.fixture(scope="module")
def fitted():
    """Each member with its defaults, fitted to the plane."""
    return {member: member.fit(plane(1000)) for member in MEMBERS}


@every_member
def test_distance_grows_along_a_normal_from_points_that_lie_on_the_manifold(member, fitted):
    held_out = plane(200, seed=1)
    steps = [fitted[member].distance(held_out + step * NORMAL) for step in (0, 0.5, 1, 2, 4)]
    assert np.mean(np.diff(steps, axis=0) > 0) == 1
    assert np.median(steps[-1]) > 4 * np.median(steps[0])
    np.testing.assert_allclose(np.median(fitted[member].distance(plane(1000))), np.median(steps[0]), rtol=0.2)


@every_member
def test_the_nearest_point_is_on_the_manifold_and_leads_straight_to_it(member, fitted):
    manifold, h = fitted[member], plane(50, seed=1) + 3 * NORMAL
    nearest = manifold.nearest(h)
    assert manifold.distance(nearest).max() <= manifold.distance(plane(1000)).max() + 1e-9
    halfway = manifold.distance((h + nearest) / 2)
    assert np.all(manifold.distance(nearest) < halfway) and np.all(halfway < manifold.distance(h))


@every_member
def test_distances_do_not_depend_on_where_the_origin_and_the_axes_are(member, fitted):
    rotation, offset = special_ortho_group.rvs(D, random_state=1), np.full(D, 7.0)
    h = plane(50, seed=1) + NORMAL
    moved = member.fit(plane(1000) @ rotation + offset)
    np.testing.assert_allclose(moved.distance(h @ rotation + offset), fitted[member].distance(h), rtol=1e-8)
    np.testing.assert_allclose(moved.nearest(h @ rotation + offset), fitted[member].nearest(h) @ rotation + offset)


@every_member
def test_distances_scale_with_the_activations_unless_they_count_standard_deviations(member, fitted):
    h = plane(50, seed=1) + NORMAL
    scaled = member.fit(5 * plane(1000)).distance(5 * h)
    factor = {"activation": 5, "standard deviations": 1}[member.unit]
    np.testing.assert_allclose(scaled, factor * fitted[member].distance(h), rtol=1e-8)


@every_member
def test_a_stream_in_any_order_is_the_same_as_all_at_once(member):
    points, h = plane(600, dtype=np.float32), plane(50, seed=1, dtype=np.float32)
    shuffled = np.random.default_rng(0).permutation(points)
    settings = {"n_kept": 300} if "n_kept" in member.fit.__annotations__ else {}
    stream = (shuffled[start : start + 70] for start in range(0, 600, 70))
    whole, streamed = member.fit(points, **settings), member.fit(stream, **settings)
    assert streamed.n_points == whole.n_points == 600
    np.testing.assert_allclose(streamed.distance(h), whole.distance(h), rtol=1e-6)
    np.testing.assert_allclose(streamed.nearest(h), whole.nearest(h), rtol=1e-6)


@every_member
def test_exact_repeats_are_dropped_and_counted(member, fitted):
    points = plane(1000)
    manifold = member.fit(np.concatenate([points, points[:30], points[400:410]]))
    assert (manifold.n_points, manifold.n_duplicates) == (1000, 40)
    np.testing.assert_allclose(manifold.distance(plane(9, seed=1)), fitted[member].distance(plane(9, seed=1)))


@every_member
def test_a_large_offset_costs_no_digits(member):
    points, h = (plane(600, seed).astype(np.float32) + np.float32(1e4) for seed in (0, 1))
    exact = member.fit(points.astype(np.float64) - 1e4)
    found = member.fit(points)
    np.testing.assert_allclose(found.distance(h), exact.distance(h.astype(np.float64) - 1e4), rtol=1e-5)


@every_member
def test_what_is_saved_is_loaded_to_the_last_bit(member, fitted, tmp_path):
    h = plane(50, seed=1)
    loaded = load_manifold(fitted[member].save(tmp_path / "fitted.safetensors"))
    assert type(loaded) is member
    np.testing.assert_array_equal(loaded.distance(h), fitted[member].distance(h))
    np.testing.assert_array_equal(loaded.nearest(h), fitted[member].nearest(h))
    assert (loaded.n_points, loaded.n_duplicates) == (1000, 0)


@every_member
def test_what_cannot_be_used_is_refused_in_a_sentence(member, fitted):
    with pytest.raises(InputError, match="width 5, but those of the fit had 12"):
        fitted[member].distance(np.zeros((2, 5)))
    with pytest.raises(InputError, match="NaN"):
        member.fit(np.full((20, 3), np.nan))
    with pytest.raises(InputError, match="at least two"):
        member.fit(np.ones((20, 3)))
    with pytest.raises(InputError, match=r"shape \(4, 3\)"):
        member.fit(iter([np.ones((4, 2)), np.ones((4, 3))]))


def test_only_files_that_hold_a_manifold_are_loaded(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_manifold(tmp_path / "absent")
    (tmp_path / "text").write_text("text")
    with pytest.raises(InputError, match="not a safetensors file"):
        load_manifold(tmp_path / "text")
    manifold = Subspace.fit(plane(50)).save(tmp_path / "subspace")
    with pytest.raises(InputError, match="holds the class 'Subspace'"):
        Map.load(manifold)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fit", [Subspace.fit, Gaussian.fit, partial(Sample.of, n_kept=500)], ids=["subspace", "gaussian", "sample"]
)
def test_a_stream_twenty_times_as_long_needs_only_the_keys_of_its_points_more(fit):
    rng, shape = np.random.default_rng(0), (300, 200)

    def peak(batches):
        tracemalloc.start()
        fit(rng.normal(size=shape).astype(np.float32) for _ in range(batches))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    short, long = peak(5), peak(100)
    n_more = 95 * shape[0]
    assert long - short < 150 * n_more  # bytes, whatever the width; the points themselves take 800 each


def test_moments_are_those_of_numpy():
    points = plane(500) * 3 - 100
    moments = Moments.of(np.array_split(points, [1, 200, 201]))
    np.testing.assert_allclose(moments.mean, points.mean(axis=0))
    np.testing.assert_allclose(moments.covariance, np.cov(points, rowvar=False, bias=True), atol=1e-11)


@pytest.mark.parametrize("settings", [{}, {"variance_explained": 0.6}, {"n_components": 5}], ids=str)
def test_the_subspace_is_that_of_scikit_learn(settings):
    points, h = plane(300), plane(20, seed=1) + NORMAL
    reference = PCA(settings.get("n_components", settings.get("variance_explained", 0.95))).fit(points)
    subspace = Subspace.fit(points, **settings)
    assert len(subspace.components) == reference.n_components_
    projected = reference.inverse_transform(reference.transform(h))
    np.testing.assert_allclose(subspace.nearest(h), projected)
    np.testing.assert_allclose(subspace.distance(h), np.linalg.norm(h - projected, axis=1))


def test_the_share_of_variance_left_is_the_mean_square_distance():
    points = plane(300)
    subspace = Subspace.fit(points, n_components=2)
    expected = subspace.spectrum[2:].sum()
    assert np.mean(subspace.distance(points) ** 2) == pytest.approx(expected)
    with pytest.raises(InputError, match="from 1 to 12"):
        Subspace.fit(points, n_components=13)


@pytest.mark.parametrize("n_points", [8, 30, 1000])
def test_the_gaussian_is_that_of_scikit_learn_even_with_fewer_points_than_dimensions(n_points):
    points, h = plane(n_points), plane(20, seed=1) + NORMAL
    gaussian, reference = Gaussian.fit(points), OAS().fit(points)
    assert gaussian.shrinkage == pytest.approx(reference.shrinkage_)
    np.testing.assert_allclose(gaussian.distance(h), np.sqrt(reference.mahalanobis(h)), rtol=1e-7)


@pytest.mark.parametrize("shrinkage", [0.0, 0.1])
def test_shrinkage_is_as_given(shrinkage):
    points, h = plane(200), plane(20, seed=1) + NORMAL
    reference = ShrunkCovariance(shrinkage=shrinkage).fit(points)
    gaussian = Gaussian.fit(points, shrinkage=shrinkage)
    np.testing.assert_allclose(gaussian.distance(h), np.sqrt(reference.mahalanobis(h)), rtol=1e-7)


def test_squared_distances_to_a_gaussian_are_chi_squared():
    points = np.random.default_rng(0).normal(size=(20_000, D)) * np.linspace(1, 4, D) @ ROTATION
    gaussian = Gaussian.fit(points[:10_000])
    distances = gaussian.distance(points[10_000:])
    np.testing.assert_allclose(np.quantile(distances**2, [0.1, 0.5, 0.9]), chi2.ppf([0.1, 0.5, 0.9], D), rtol=0.03)
    assert np.mean(distances <= gaussian.radius) == pytest.approx(0.95, abs=0.01)


def test_the_way_into_the_ellipsoid_is_the_shortest():
    gaussian, h = Gaussian.fit(plane(500)), plane(50, seed=1) + 3 * NORMAL
    nearest = gaussian.nearest(h)
    covered = gaussian.distance(gaussian.mean + h - nearest)
    np.testing.assert_allclose(covered + gaussian.distance(nearest), gaussian.distance(h))
    np.testing.assert_allclose(gaussian.distance(nearest), gaussian.radius)
    inside = gaussian.mean + 0.1 * (plane(50) - gaussian.mean)
    np.testing.assert_allclose(gaussian.nearest(inside), inside)


def test_neighbours_are_those_of_a_tree():
    points, h = plane(400), plane(50, seed=1)
    tree = KDTree(points)
    manifold = Neighbours.fit(points, n_neighbours=7)
    distances, indices = tree.query(h, 7)
    own = tree.query(points, 8)[0][:, 1:].mean(axis=1)
    np.testing.assert_allclose(manifold.distance(h), distances.mean(axis=1))
    np.testing.assert_allclose(manifold.ratio(h), distances.mean(axis=1) / own[indices].mean(axis=1))
    np.testing.assert_allclose(manifold.nearest(h), points[indices[:, 0]])


def test_the_ratio_is_about_one_where_points_are_dense_and_where_they_are_sparse():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(0, 1, (500, 4)), rng.normal(100, 20, (500, 4))])
    dense, sparse = rng.normal(0, 1, (200, 4)), rng.normal(100, 20, (200, 4))
    manifold = Neighbours.fit(points)
    assert np.median(manifold.distance(sparse)) > 10 * np.median(manifold.distance(dense))
    for h in (dense, sparse):
        assert np.median(manifold.ratio(h)) == pytest.approx(1, abs=0.15)
    assert manifold.ratio(dense + 10).min() > 3


def test_every_point_is_as_likely_to_be_kept():
    points = np.arange(20.0)[:, None]
    counts = np.zeros(20, int)
    for seed in range(400):
        sample = Sample.of(points, n_kept=5, seed=seed)
        kept = np.round(sample.points[:, 0] + sample.centre[0]).astype(int)
        assert len(set(kept)) == 5
        counts[kept] += 1
    # The counts add up to a constant, so 19 of the 20 are free.
    assert np.sum((counts - 100) ** 2) / 75 * 19 / 20 < chi2.ppf(0.999, 19)
    again, other = (Sample.of(points, n_kept=5, seed=seed).points for seed in (0, 1))
    np.testing.assert_array_equal(Sample.of(points[::-1], n_kept=5, seed=0).points, again)
    assert not np.array_equal(other, again)


def test_the_local_tangent_is_the_principal_plane_of_the_nearest_points():
    points, h = sphere(800, 2), sphere(10, 2, seed=1) * 1.3
    shift = np.random.default_rng(0).normal(size=h.shape)
    tangent = LocalTangent.fit(points, dimension=2, n_neighbours=20)
    along, normal = tangent.split(h, shift)
    for row, nearby in enumerate(KDTree(points).query(h, 20)[1]):
        reference = PCA(2).fit(points[nearby])
        flat = reference.inverse_transform(reference.transform(h[row : row + 1]))
        np.testing.assert_allclose(tangent.nearest(h)[row], flat[0], atol=1e-9)
        within = reference.components_.T @ reference.components_ @ shift[row]
        np.testing.assert_allclose([along[row], normal[row]], [*map(np.linalg.norm, (within, shift[row] - within))])


@pytest.mark.parametrize("radius", [0.9, 1.0, 1.2])
def test_off_a_sphere_the_distance_is_to_its_surface_and_the_normal_is_the_radius(radius):
    points, directions = sphere(4000, 2), sphere(50, 2, seed=1)
    tangent = LocalTangent.fit(points, n_neighbours=16)
    assert tangent.dimension == 2
    np.testing.assert_allclose(tangent.distance(radius * directions), abs(radius - 1), atol=0.01)
    along, normal = tangent.split(radius * directions, directions)
    assert normal.min() > 0.99 and along.max() < 0.15


def test_a_tangent_splits_the_offset_of_h_itself_and_fills_only_what_the_points_fill():
    h = plane(40, seed=1) + NORMAL
    points = np.pad(np.random.default_rng(0).normal(size=(200, 2)), ((0, 0), (0, D - 2)))
    tangent = LocalTangent.fit(points, dimension=4, n_neighbours=10)
    along, normal = tangent.split(h)
    np.testing.assert_allclose(normal, tangent.distance(h))
    np.testing.assert_allclose(normal, np.linalg.norm(h[:, 2:], axis=1))
    assert along.max() > 0
    with pytest.raises(InputError, match="dimension 4 was asked for, from 64 neighbours"):
        LocalTangent.fit(points[:50], dimension=4)


@pytest.mark.parametrize("estimator", [two_nn, maximum_likelihood])
@pytest.mark.parametrize(
    ("make", "dimension"),
    [(partial(sphere, dimension=2), 2), (swiss_roll, 2), (partial(noisy_plane, dimension=5), 5)],
    ids=["sphere", "swiss roll", "noisy plane"],
)
def test_planted_dimensions_are_covered_at_about_the_level(estimator, make, dimension):
    found = [estimator(Sample.of(make(500, seed=seed), 500)) for seed in range(40)]
    covered = sum(dimension in each.interval for each in found)
    assert binomtest(covered, 40, 0.95).pvalue > 0.005
    estimates = np.array([each.estimate for each in found])
    assert estimates.mean() == pytest.approx(dimension, rel=0.03)
    width = np.mean([np.log(each.interval.high / each.interval.low) for each in found]) / (2 * 1.96)
    assert width == pytest.approx(np.log(estimates).std(), rel=0.35)


def test_the_participation_ratio_counts_equal_directions_and_its_interval_their_scatter():
    found = [participation_ratio(Sample.of(noisy_plane(800, 5, seed=seed), 800)) for seed in range(30)]
    estimates = np.array([each.estimate for each in found])
    points = noisy_plane(800, 5, seed=0)
    variances = np.linalg.eigvalsh(np.cov(points, rowvar=False))
    assert found[0].estimate == pytest.approx(variances.sum() ** 2 / np.sum(variances**2))
    width = np.mean([np.log(each.interval.high / each.interval.low) for each in found]) / (2 * 1.96)
    # Estimates near an extreme are skewed, so their scatter is only about the interval's width.
    assert np.log(estimates).std() < 1.5 * width and estimates.mean() == pytest.approx(5, abs=0.1)


def test_the_jackknife_leaves_out_one_point_at_a_time():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 4)) * [3, 2, 1, 1]

    def ratio(rows):
        variances = np.linalg.eigvalsh(np.cov(rows, rowvar=False))
        return np.log(variances.sum() ** 2 / np.sum(variances**2))

    without = np.array([ratio(np.delete(points, row, axis=0)) for row in range(60)])
    deviation = np.sqrt(59 / 60 * np.sum((without - without.mean()) ** 2))
    interval = participation_ratio(Sample.of(points, 60)).interval
    assert np.log(interval.high / interval.low) == pytest.approx(2 * 1.959964 * deviation)


def neighbourhoods(seed, n_groups=30, size=10):
    """Groups of points near each other on a torus; half of the groups leave it in all six directions."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), size)
    turns = rng.uniform(0, 2 * np.pi, (n_groups, 2))[group] + 0.5 * rng.normal(size=(len(group), 2))
    points = np.pad(np.concatenate([np.cos(turns), np.sin(turns)], axis=1), ((0, 0), (0, 2)))
    leaves = rng.random(n_groups)[group] < 0.5
    return points + 0.3 * leaves[:, None] * rng.normal(size=points.shape), group


@pytest.mark.slow
def test_intervals_over_groups_cover_where_those_over_points_are_too_narrow():
    every = [intrinsic_dimensions(neighbourhoods(seed)[0]) for seed in range(1000, 1200)]
    found = [neighbourhoods(seed) for seed in range(40)]
    over_groups = [grouped_dimensions(points, groups, n_splits=16) for points, groups in found]
    over_points = [intrinsic_dimensions(points) for points, _ in found]
    for name in every[0]:
        truth = np.exp(np.mean([np.log(each[name].estimate) for each in every]))
        grouped, alone = (sum(truth in each[name].interval for each in way) for way in (over_groups, over_points))
        assert binomtest(grouped, 40, 0.95).pvalue > 0.005 > binomtest(alone, 40, 0.95).pvalue, name
        assert [each[name].estimate for each in over_groups] == [each[name].estimate for each in over_points]


def test_groups_of_one_point_each_have_about_the_interval_of_independent_points():
    points = plane(400)
    grouped, alone = grouped_dimensions(points, np.arange(400)), intrinsic_dimensions(points)
    for name in ("two_nn", "maximum_likelihood"):
        widths = [np.log(each[name].interval.high / each[name].interval.low) for each in (grouped, alone)]
        assert widths[0] == pytest.approx(widths[1], rel=0.35)
    with pytest.raises(InputError, match="1 group came"):
        grouped_dimensions(points, np.zeros(400, int))


def test_dimensions_ignore_repeats_scale_and_place_and_come_by_every_estimator():
    points = plane(500)
    found = intrinsic_dimensions(points)
    assert set(found) == {"two_nn", "maximum_likelihood", "participation_ratio"}
    moved = intrinsic_dimensions(np.concatenate([points, points[:50]]) * 3 + 100)
    for name, each in found.items():
        assert moved[name].estimate == pytest.approx(each.estimate) and each.estimate in each.interval


def test_the_nearest_of_the_points_themselves_are_others():
    points = plane(50)
    distances, indices = nearest_points(points, None, 49)
    assert distances.min() > 0 and not np.any(indices == np.arange(50)[:, None])
    with pytest.raises(InputError, match="50 neighbours were asked for among 49"):
        nearest_points(points, None, 50)
    with pytest.raises(InputError, match="NaN or infinite"):
        nearest_points(points, np.full((1, D), np.nan), 3)


def hard_clouds():
    """Points and queries among which float32 products alone would choose wrongly, or be hard put to."""
    rng = np.random.default_rng(0)
    cloud, line = rng.normal(size=(400, 32)), np.zeros((300, 32))
    line[:, 0] = 1 + 1e-7 * np.arange(300)
    tight = np.repeat(50 * cloud[:20], 20, axis=0) + 1e-3 * rng.normal(size=(400, 32))
    return {
        "even": (cloud, rng.normal(size=(60, 32))),
        "a large offset": (cloud + 1e5, rng.normal(size=(60, 32)) + 1e5),
        "repeats": (np.repeat(cloud[:60], 6, axis=0), cloud[:60]),
        "tight clusters": (tight, 50 * cloud[:20]),
        "massive points": (
            np.concatenate([cloud, 1e6 * cloud[:5]]),
            np.concatenate([cloud[:30] + 0.1, 1e4 * cloud[:5]]),
        ),
        "near ties": (line, line[:50] + 1e-9),
        "all in one place": (np.zeros((50, 32)), np.zeros((4, 32))),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", hard_clouds())
def test_the_nearest_points_are_exactly_those_of_all_distances(name, dtype):
    points, queries = (part.astype(dtype) for part in hard_clouds()[name])
    for others, k in ((queries, 1), (queries, 30), (queries.astype(np.float64) + 1e-4, 9), (None, 30)):
        every = cdist(points if others is None else others, points)
        if others is None:
            np.fill_diagonal(every, np.inf)
        distances, indices = nearest_points(points, others, k)
        np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :k], rtol=1e-12)
        np.testing.assert_allclose(np.take_along_axis(every, indices, axis=1), distances, rtol=1e-12)
        assert all(len(set(row)) == k for row in indices)


def test_neighbours_need_little_more_memory_than_the_points():
    points = np.random.default_rng(0).normal(size=(40_000, 16)).astype(np.float32)
    tracemalloc.start()
    nearest_points(points, points[:400], 10)
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert highest < 50e6


@pytest.fixture(scope="module")
def clusters():
    """Two clusters of points, and of others that come later."""
    rng = np.random.default_rng(0)
    centres = np.repeat([0.0, 8.0], 60)[:, None]
    return rng.normal(size=(120, 6)) + centres, rng.normal(size=(120, 6)) + centres


@pytest.fixture(scope="module")
def map_of_clusters(clusters):
    return Map.fit(clusters[0], n_neighbours=10)


@pytest.mark.slow
def test_a_map_is_drawn_again_by_its_seed_and_placed_in_as_before_once_loaded(clusters, map_of_clusters, tmp_path):
    points, later = clusters
    again = Map.fit(points[::-1], n_neighbours=10)
    np.testing.assert_array_equal(again.plane, map_of_clusters.plane)
    loaded = Map.load(map_of_clusters.save(tmp_path / "map.safetensors"))
    np.testing.assert_array_equal(loaded.place(later), map_of_clusters.place(later))


def test_what_comes_later_is_placed_with_its_like_whatever_comes_along(clusters, map_of_clusters):
    points, later = clusters
    own, places = map_of_clusters.place(points), map_of_clusters.place(later)
    first, second = own[:60].mean(axis=0), own[60:].mean(axis=0)
    nearer_first = np.linalg.norm(places - first, axis=1) < np.linalg.norm(places - second, axis=1)
    np.testing.assert_array_equal(nearer_first, np.arange(120) < 60)
    np.testing.assert_allclose(map_of_clusters.place(later[:7]), places[:7], rtol=1e-6)


@pytest.mark.slow
def test_places_are_where_umaps_own_transform_starts(clusters, map_of_clusters):
    from umap.umap_ import compute_membership_strengths, smooth_knn_dist

    later = clusters[1]
    distances, indices = KDTree(map_of_clusters.points).query(later - map_of_clusters.centre, 10)
    distances, indices = distances.astype(np.float32), indices.astype(np.int32)
    scales = smooth_knn_dist(distances, 10.0, local_connectivity=0.0)
    rows, columns, strengths, _ = compute_membership_strengths(indices, distances, *scales, bipartite=True)
    weights = coo_matrix((strengths, (rows, columns)), shape=(120, 120)).toarray()
    expected = weights / weights.sum(axis=1, keepdims=True) @ map_of_clusters.plane
    np.testing.assert_allclose(map_of_clusters.place(later), expected, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("n_neighbours", [2, 3, 15])
def test_the_graph_of_a_map_is_umaps(n_neighbours):
    from umap.umap_ import fuzzy_simplicial_set

    points = plane(200)
    distances, indices = KDTree(points).query(points, n_neighbours)
    known = {"knn_indices": indices, "knn_dists": distances.astype(np.float32)}
    expected, _, _ = fuzzy_simplicial_set(points, n_neighbours, np.random.RandomState(0), "euclidean", **known)
    graph = neighbour_graph(points, n_neighbours)
    np.testing.assert_allclose(graph.toarray(), expected.toarray(), atol=1e-4)


def test_a_map_of_points_without_neighbours_is_refused():
    with pytest.raises(InputError, match="A map from 1 neighbours"):
        Map.fit(plane(50), n_neighbours=1)


def test_the_activation_map_follows_tokens_from_their_own_kind_to_that_which_the_steer_makes_them_like():
    rng, planted = np.random.default_rng(0), make(0)
    there = READ[-1] * np.eye(WIDTH)[0]
    learning = 0.1 * rng.normal(size=(200, WIDTH)) + np.repeat([0.0, 1.0], 100)[:, None] * there
    base = 0.1 * rng.normal(size=(len(planted.token_pair), WIDTH))
    steered = base + READ[:, None, None] * np.eye(WIDTH)[0]
    evidence = replace(planted, layers={0: LayerActivations(learning, base, steered)})
    places = activation_map.run(evidence).tables["place"]
    assert activation_map.run(evidence).tables["place"].equals(places)

    background, paths = places[places.token < 0], places[places.token >= 0]
    assert len(background) == len(learning)
    is_there = Sample.of(learning, 200, seed=0).points[:, 0] > 0
    own, other = (background[["x", "y"]][chosen].mean().to_numpy() for chosen in (~is_there, is_there))
    toward = np.linalg.norm(paths[["x", "y"]] - own, axis=1) > np.linalg.norm(paths[["x", "y"]] - other, axis=1)
    np.testing.assert_array_equal(toward, paths.multiplier > READ[-1] / 2)

    pair = planted.token_pair[paths.token]
    assert paths.groupby("token").multiplier.apply(lambda m: set(m) == {0.0, *READ}).all()
    assert len(set(pair)) == paths.token.nunique() == activation_map.N_PATHS
    utility = planted.sweep.to_frame().set_index(["multiplier", "pair"]).utility
    names = np.array(planted.sweep.pairs)[pair]
    lost = [utility[0.0, name] - utility[m, name] for m, name in zip(paths.multiplier, names, strict=True)]
    np.testing.assert_allclose(paths.utility_loss, lost)
