"""Geometry of a shift: identities of triangles, and the parts along and off a known surface."""

import numpy as np
import pytest

from mechsteer.manifolds import LocalTangent, Neighbours, Subspace
from mechsteer.manifolds.geometry import projection_gain, remove_ones, shift_geometry

D = 7


def circle(n, seed=0):
    turn = np.random.default_rng(seed).uniform(0, 2 * np.pi, n)
    return np.pad(np.stack([np.cos(turn), np.sin(turn)], axis=1), ((0, 0), (0, D - 2)))


@pytest.fixture(scope="module")
def tangent():
    return LocalTangent.fit(circle(2000), dimension=1, n_neighbours=8)


@pytest.fixture(scope="module")
def manifolds():
    return {"subspace": Subspace.fit(circle(2000), n_components=2), "neighbours": Neighbours.fit(circle(2000))}


def test_the_parts_of_a_shift_make_up_the_whole(manifolds, tangent):
    h, shift = circle(100, seed=1) * 2, np.random.default_rng(0).normal(size=(100, D))
    found = shift_geometry(h, h + shift, manifolds, tangent)
    np.testing.assert_allclose(found.along**2 + found.normal**2, np.sum(shift**2, axis=1))
    grown = 1 + found.radial
    np.testing.assert_allclose(grown**2 + 1 - 2 * grown * np.cos(found.angle), found.relative_size**2)
    np.testing.assert_allclose(found.relative_size, np.linalg.norm(shift, axis=1) / 2)
    for name, (before, after) in found.distances.items():
        np.testing.assert_array_equal(before, manifolds[name].distance(h))
        np.testing.assert_array_equal(after, manifolds[name].distance(h + shift))


@pytest.mark.parametrize("angle", [0, 1e-9, 0.1, np.pi / 2, np.pi])
def test_a_turn_is_all_angle_and_a_stretch_all_radial(angle, manifolds, tangent):
    h = circle(50, seed=1)
    turn = np.eye(D)
    turn[:2, :2] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    turned = shift_geometry(h, h @ turn, manifolds, tangent)
    np.testing.assert_allclose(turned.angle, angle, rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(turned.radial, 0, atol=1e-15)
    stretched = shift_geometry(h, (1 + angle) * h, manifolds, tangent)
    np.testing.assert_allclose(stretched.radial, angle, rtol=1e-6)
    np.testing.assert_allclose(stretched.angle, 0, atol=1e-7)


def test_a_short_step_around_the_circle_is_along_it_and_a_step_outwards_is_normal(manifolds, tangent):
    h = circle(50, seed=1)
    around = 0.1 * np.concatenate([-h[:, 1:2], h[:, :1], h[:, 2:]], axis=1)
    for shift, is_along in ((around, True), (0.1 * h, False)):
        found = shift_geometry(h, h + shift, manifolds, tangent)
        larger, smaller = (found.along, found.normal) if is_along else (found.normal, found.along)
        np.testing.assert_allclose(larger, 0.1, rtol=1e-3)
        assert smaller.max() < 0.005
        before, after = found.distances["neighbours"]
        assert (np.median(after) > 5 * np.median(before)) is not is_along


def test_the_table_has_a_row_for_each_activation_and_a_column_for_each_number(manifolds, tangent):
    h = circle(5, seed=1)
    found = shift_geometry(h, h + 1, manifolds, tangent)
    frame = found.to_frame()
    assert list(frame) == [
        "relative_size", "angle", "radial", "along", "normal",
        "subspace_before", "subspace_after", "neighbours_before", "neighbours_after",
    ]  # fmt: skip
    np.testing.assert_array_equal(frame["neighbours_after"], found.distances["neighbours"][1])


def test_removing_ones_removes_what_a_layer_norm_removes_and_nothing_else():
    h = np.random.default_rng(0).normal(size=(4, 3, D))

    def layer_norm(x):
        return (x - x.mean(axis=-1, keepdims=True)) / x.std(axis=-1, keepdims=True)

    np.testing.assert_allclose(layer_norm(remove_ones(h)), layer_norm(h))
    np.testing.assert_allclose(remove_ones(h + 3), remove_ones(h), atol=1e-14)
    np.testing.assert_allclose(remove_ones(remove_ones(h)), remove_ones(h), atol=1e-15)
    removed = h - remove_ones(h)
    np.testing.assert_allclose(removed, removed[..., :1] * np.ones(D))


def test_the_gain_is_what_a_linear_readout_gains_per_multiplier():
    rng = np.random.default_rng(0)
    h, delta, weights = rng.normal(size=(10, D)), rng.normal(size=(10, D)), rng.normal(size=D)
    readout = (h + 3 * delta) @ weights - h @ weights
    np.testing.assert_allclose(readout, 3 * projection_gain(delta, weights))
