"""Curves: the truth is recovered, its rivals are recognised, noise is not called a fit."""

import json
from functools import partial
from itertools import product

import numpy as np
import pytest
from scipy.optimize import differential_evolution, least_squares

from mechsteer.curves import (
    FitStatus,
    PreferenceCurve,
    UtilityCurve,
    ValidityDecay,
    curve_properties,
    fit_curve,
    fit_preference,
    fit_utility,
)
from mechsteer.curves.forms import curve_from, paper_form, rival_forms
from mechsteer.curves.properties import local_slope
from mechsteer.curves.search import descend, predict_blocks
from mechsteer.curves.separable import _spanned, minimise
from mechsteer.curves.validity import VARIANTS
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.intervals import contiguous_blocks
from mechsteer.store.keys import Key

MULTIPLIERS = np.linspace(-20, 20, 41)
PRINTED = ValidityDecay("printed", -1.0, 30.0, 0.8, 2.0, 60.0, 1.5)
PLATEAU = ValidityDecay("plateau", -1.0, 30.0, 0.8, 2.0, 60.0, 1.5)
# The centre below zero that makes both sides agree there.
MATCHED = ValidityDecay(
    "matched", -float(np.sqrt(30 * np.expm1(1.5 / 0.8 * np.log1p(4 / 60)))), 30.0, 0.8, 2.0, 60.0, 1.5
)
CURVES = [PreferenceCurve, UtilityCurve]
DECAYS = {decay.variant: decay for decay in (PRINTED, MATCHED, PLATEAU)}
quick = partial(fit_curve, n_starts=4, n_resamples=0)


def planted(curve, validity=PLATEAU):
    if curve is PreferenceCurve:
        return PreferenceCurve(0.6, 0.5, 0.3, validity)
    return UtilityCurve(9.0, -14.0, validity)


def of_pairs(mean, n_pairs=60, noise=0.5, seed=0):
    """Pairs that differ in offset and in response, and whose noise is independent."""
    rng = np.random.default_rng(seed)
    response, offset = rng.normal(1, 0.3, n_pairs), rng.normal(0, 2, n_pairs)
    return mean[:, None] * response + offset + rng.normal(0, noise, (len(mean), n_pairs))


def exactly(mean):
    """One pair that is the mean."""
    return mean[:, None]


def estimates(properties):
    return {name: found.estimate for name, found in properties.items()}


def test_validity_is_equation_12():
    low, high = np.array([-6.0, -0.5]), np.array([0.0, 2.0, 9.0])
    np.testing.assert_allclose(PRINTED(low), (1 + (low + 1) ** 2 / 30) ** -0.8)
    np.testing.assert_allclose(PRINTED(high), (1 + (high - 2) ** 2 / 60) ** -1.5)


def test_validity_is_one_on_the_plateau():
    assert (PLATEAU(np.linspace(-1, 2, 7)) == 1).all() and PLATEAU(np.array([-1.1, 2.1])).max() < 1


@pytest.mark.parametrize("validity", DECAYS.values(), ids=DECAYS)
def test_validity_falls_to_one_half_at_the_half_multipliers(validity):
    np.testing.assert_allclose(validity(np.array(validity.half_multipliers())), 0.5)


def test_only_the_printed_variant_jumps():
    def jump(validity):
        below, above = validity(np.array([np.nextafter(0, -1), 0.0]))
        return abs(above - below)

    assert jump(MATCHED) < 1e-12 and jump(PLATEAU) == 0 and jump(PRINTED) > 1e-2


@pytest.mark.parametrize("validity", DECAYS.values(), ids=DECAYS)
@pytest.mark.parametrize("curve", CURVES)
def test_the_slope_is_the_derivative(curve, validity):
    truth, at, step = planted(curve, validity), np.linspace(-9, 9, 20), 1e-5
    np.testing.assert_allclose(truth.slope(at), (truth(at + step) - truth(at - step)) / (2 * step), atol=1e-8)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_form_that_is_searched_is_the_curve_that_is_reported(curve, variant):
    scaled = MULTIPLIERS / 20
    form = paper_form(curve, variant, scaled)
    coefficients = np.array([3.0, 2.0, 1.0])[: form.n_linear]
    for shape in form.candidates(8, seed=0):
        expected = form.columns(scaled, shape[None])[0] @ coefficients
        np.testing.assert_allclose(curve_from(curve, variant, shape, coefficients, 20.0)(MULTIPLIERS), expected)


@pytest.mark.slow
@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize(("variant", "validity"), DECAYS.items())
def test_a_planted_curve_is_recovered_to_rounding_and_its_form_is_chosen(curve, variant, validity):
    truth = planted(curve, validity)
    fit = fit_curve(curve, MULTIPLIERS, exactly(truth(MULTIPLIERS)), n_starts=32)
    assert fit.status is FitStatus.CONVERGED and fit.held_out_r_squared > 1 - 1e-6
    # What is matched is printed too.
    assert fit.variant in ({"matched", "printed"} if variant == "matched" else {variant})
    np.testing.assert_allclose(fit.predict(MULTIPLIERS), truth(MULTIPLIERS), atol=1e-6)
    expected = curve_properties(truth, MULTIPLIERS, fit.quantity)
    np.testing.assert_allclose([estimates(fit.fitted)[name] for name in expected], list(expected.values()), atol=0.011)
    assert min((fit.score, *fit.rivals), key=lambda score: score.aicc) is fit.score


def test_matched_sides_agree_at_zero_wherever_their_centres_lie():
    form = paper_form(UtilityCurve, "matched", MULTIPLIERS / 20)
    drawn = form.candidates(64, seed=0)
    found = [curve_from(UtilityCurve, "matched", shape, np.ones(2), 20.0).validity for shape in drawn]
    for validity in found:
        below, above = validity(np.array([np.nextafter(0, -1), 0.0]))
        assert below == pytest.approx(above, abs=1e-9)
    assert {(d.centre_negative < 0, d.centre_positive < 0) for d in found} == set(product((True, False), repeat=2))
    assert form.n_parameters == paper_form(UtilityCurve, "printed", MULTIPLIERS / 20).n_parameters - 1


@pytest.mark.slow
@pytest.mark.parametrize("curve", CURVES)
def test_intervals_cover_what_is_true_at_about_their_level(curve):
    """Of the fit where it is the truth; and what is measured lies near it."""
    multipliers = MULTIPLIERS[::2]
    truth, quantity = planted(curve), "preference" if curve is PreferenceCurve else "utility"
    expected = curve_properties(truth, multipliers, quantity)
    covered = []
    for seed in range(6):
        values = of_pairs(truth(multipliers), seed=seed)
        fit = fit_curve(
            curve, multipliers, values, variants=["plateau"], n_starts=8, n_resamples=100, level=0.8, seed=seed
        )
        assert fit.ok
        covered += [expected[name] in fit.fitted[name].interval for name in expected if np.isfinite(expected[name])]
        for name in (name for name in expected if name.startswith("half")):
            assert fit.properties[name].estimate == pytest.approx(expected[name], abs=0.7)
    assert 0.5 < np.mean(covered) <= 1.0


@pytest.mark.slow
def test_the_measured_slope_is_the_truth_where_the_fitted_one_is_not():
    """Flat at zero and steep around it: the paper's curves have no such shape."""
    m = np.concatenate([-np.geomspace(0.2, 20, 15)[::-1], [0.0], np.geomspace(0.2, 20, 15)])
    values = of_pairs(12 * np.tanh(m / 8) ** 3, noise=0.01)
    fit = fit_curve(PreferenceCurve, m, values, n_starts=16, n_resamples=100)
    assert abs(fit.properties["slope_at_zero"].estimate) < 0.03 < abs(fit.fitted["slope_at_zero"].estimate)
    assert "slope_at_zero" not in fit.agreeing
    given = fit_curve(PreferenceCurve, m, values, slopes=np.full(60, 0.25), n_starts=4, n_resamples=50)
    assert given.properties["slope_at_zero"].estimate == 0.25


def test_a_parabola_s_slope_at_zero_is_told_exactly_by_its_neighbours():
    m = np.array([-3.0, -0.5, 0.0, 0.2, 4.0])
    assert local_slope(m) @ (3 + 2 * m - 5 * m**2) == pytest.approx(2.0)
    assert np.isnan(local_slope(np.array([0.0, 1.0, 2.0]))).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("curve", "rival", "truth"),
    [
        (PreferenceCurve, "linear", lambda m: 0.3 * m + 1),
        (PreferenceCurve, "logistic", lambda m: 6 / (1 + np.exp(-(m - 2) / 3)) - 2),
        (PreferenceCurve, "polynomial", lambda m: (m / 10) ** 5 - 3 * (m / 10) ** 3 + m / 10),
        (PreferenceCurve, "Laplace decay", lambda m: m * np.exp(-np.abs(m - 1) / 5)),
        (UtilityCurve, "two logistics", lambda m: 9 / (1 + np.exp(-m - 8)) - 9 / (1 + np.exp(-m + 9))),
        (UtilityCurve, "Gaussian decay", lambda m: 9 * np.exp(-(((m - 1) / 7) ** 2)) - 14),
    ],
)
def test_a_rival_that_is_the_truth_wins(curve, rival, truth):
    fit = fit_curve(curve, MULTIPLIERS, of_pairs(truth(MULTIPLIERS)), n_starts=16, n_resamples=0)
    winner = next(score for score in fit.rivals if score.name == rival)
    assert winner.aicc < fit.aicc and winner.held_out_error < 1.2 * fit.score.held_out_error


def test_most_rivals_have_about_as_many_parameters():
    form = paper_form(PreferenceCurve, "printed", MULTIPLIERS)
    counts = {rival.name: rival.n_parameters for rival in rival_forms(PreferenceCurve, "printed", MULTIPLIERS)}
    assert form.n_parameters == 9  # as in the paper
    assert counts["polynomial"] == 9 and min(counts[name] for name in counts if "decay" in name or "two" in name) == 7


@pytest.mark.slow
@pytest.mark.parametrize("curve", CURVES)
def test_pure_noise_is_not_called_a_fit(curve):
    multipliers = np.linspace(-20, 20, 21)
    kinds = [
        lambda rng: rng.normal(size=(21, 40)),
        lambda rng: rng.normal(size=(21, 40)) + rng.normal(0, 5, 40),
        lambda rng: rng.standard_t(2, size=(21, 40)),
        lambda rng: multipliers[:, None] * rng.normal(size=40),  # each pair moves, and their mean does not
    ]
    # Of rivals only the constant has a say in whether it is a fit.
    fits = [quick(curve, multipliers, noise(np.random.default_rng(0)), with_rivals=False) for noise in kinds]
    assert not any(fit.ok for fit in fits)
    assert not any(fit.fitted for fit in fits)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("level", [0.0, 0.1])
def test_a_constant_is_not_called_a_fit(curve, level):
    fit = quick(curve, MULTIPLIERS, np.full((41, 5), level))
    assert fit.status is FitStatus.NO_SIGNAL and np.isnan(fit.r_squared)


@pytest.mark.slow
@pytest.mark.parametrize("curve", CURVES)
def test_the_variants_agree_where_both_branches_are_centred_at_zero(curve):
    validity = ValidityDecay("printed", 0.0, 30.0, 0.8, 0.0, 60.0, 1.5)
    values = exactly(planted(curve, validity)(MULTIPLIERS))
    for variant in VARIANTS:
        fit = quick(curve, MULTIPLIERS, values, variants=[variant], n_starts=16)
        np.testing.assert_allclose(fit.predict(MULTIPLIERS), values[:, 0], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("curve", CURVES)
def test_the_unit_of_the_multiplier_does_not_matter(curve):
    values = of_pairs(planted(curve)(MULTIPLIERS))
    fit, rescaled = (fit_curve(curve, MULTIPLIERS * unit, values, n_starts=4, n_resamples=20) for unit in (1.0, 0.125))
    assert fit.score == rescaled.score and fit.rivals == rescaled.rivals
    for of in ("properties", "fitted"):
        for name, found in getattr(fit, of).items():
            unit = 8 if name == "slope_at_zero" else 0.125
            ends = np.array([found.estimate, found.interval.low, found.interval.high])
            other = getattr(rescaled, of)[name]
            np.testing.assert_allclose([other.estimate, other.interval.low, other.interval.high], ends * unit)


def test_swapping_polarity_negates_the_slope_and_keeps_the_regions():
    values = of_pairs(planted(PreferenceCurve)(MULTIPLIERS))
    fit = fit_curve(PreferenceCurve, MULTIPLIERS, values, n_starts=4, n_resamples=20)
    swapped = fit_curve(PreferenceCurve, MULTIPLIERS, -values, n_starts=4, n_resamples=20)
    for name, found in fit.properties.items():
        other = swapped.properties[name]
        if name == "slope_at_zero":
            assert (other.estimate, other.interval.low) == pytest.approx((-found.estimate, -found.interval.high))
        elif name != "peak":
            assert other == found


@pytest.mark.slow
@pytest.mark.parametrize("curve", CURVES)
def test_a_mirrored_sweep_has_mirrored_properties(curve):
    values = of_pairs(planted(curve)(MULTIPLIERS))
    fit = estimates(quick(curve, MULTIPLIERS, values).properties)
    mirrored = estimates(quick(curve, MULTIPLIERS, values[::-1]).properties)
    other_side = {"positive": "negative", "negative": "positive"}
    for name, estimate in fit.items():
        stem, _, side = name.rpartition("_")
        other = f"{stem}_{other_side[side]}" if side in other_side else name
        assert mirrored[other] == pytest.approx(-estimate, abs=0.02)


@pytest.mark.slow
def test_what_lies_beyond_the_sweep_is_not_extrapolated():
    fit = fit_curve(PreferenceCurve, MULTIPLIERS, of_pairs(0.3 * MULTIPLIERS), n_starts=8, n_resamples=20)
    assert fit.status is FitStatus.AT_BOUND and fit.ok
    for found in (fit.properties, fit.fitted):
        for side, infinity in (("negative", -np.inf), ("positive", np.inf)):
            for name in ("near_linear", "converges"):
                assert found[f"{name}_{side}"].estimate == infinity
        assert found["slope_at_zero"].estimate == pytest.approx(fit.mean[-1] / 20 - fit.mean[20] / 20, rel=0.1)
    level = fit_curve(UtilityCurve, MULTIPLIERS, of_pairs(-0.005 * np.abs(MULTIPLIERS)), n_starts=4, n_resamples=20)
    assert (
        level.properties["half_nat_positive"].estimate == np.inf and level.properties["half_nat_positive"].beyond > 0.8
    )


def test_a_tangent_that_the_sweep_does_not_reach_is_unknown():
    found = curve_properties(planted(PreferenceCurve), np.linspace(2, 20, 30), "preference")
    assert np.isnan([found["slope_at_zero"], found["near_linear_positive"], found["converges_negative"]]).all()
    assert 2 < found["peak"] < 20


@pytest.mark.parametrize("n_multipliers", [1, 2, 5, 9])
@pytest.mark.parametrize("curve", CURVES)
def test_too_few_multipliers_are_a_status(curve, n_multipliers):
    multipliers = np.linspace(0, 4, n_multipliers)
    fit = quick(curve, multipliers, of_pairs(planted(curve)(multipliers)))
    assert fit.status is FitStatus.TOO_FEW_POINTS and not fit.ok
    assert np.isnan(fit.predict(multipliers)).all()


def test_pairs_that_are_somewhere_undefined_are_left_out_everywhere_and_counted():
    values = of_pairs(planted(UtilityCurve)(MULTIPLIERS))
    holed = values.copy()
    holed[5, :3] = np.nan
    holed[40, 7] = -np.inf
    fit = quick(UtilityCurve, MULTIPLIERS, holed)
    assert (fit.n_pairs, fit.n_undefined) == (56, 4)
    np.testing.assert_array_equal(fit.mean, np.delete(values, [0, 1, 2, 7], axis=1).mean(axis=1))
    nothing = quick(UtilityCurve, MULTIPLIERS, np.full_like(values, np.nan))
    assert nothing.status is FitStatus.UNDEFINED_VALUES and nothing.n_undefined == 60


def test_multipliers_out_of_order_are_refused():
    with pytest.raises(ValueError, match="Sort them"):
        fit_curve(UtilityCurve, MULTIPLIERS[::-1], np.zeros((41, 2)))


@pytest.mark.parametrize("curve", CURVES)
def test_a_held_out_prediction_has_not_seen_its_block(curve):
    mean = planted(curve)(MULTIPLIERS)
    moved = mean.copy()
    moved[9] += 3
    form, weights = paper_form(curve, "plateau", MULTIPLIERS / 20), np.ones(41)
    known = descend(form, MULTIPLIERS / 20, mean, weights[None], 4, 0)
    one, other = (predict_blocks(form, MULTIPLIERS / 20, some[None], weights, known, 4, 0)[0] for some in (mean, moved))
    blocks = contiguous_blocks(41)
    same = blocks == blocks[9]
    np.testing.assert_array_equal(one[same], other[same])
    assert not np.allclose(one[~same], other[~same])
    assert set(blocks) == set(range(6)) and np.all(np.diff(blocks) >= 0)


def test_points_weigh_as_their_standard_errors_say():
    """Where pairs agree the curve must pass; where they do not it need not."""
    rng = np.random.default_rng(0)
    truth = planted(UtilityCurve)(MULTIPLIERS)
    far = np.abs(MULTIPLIERS) > 8
    values = truth[:, None] + np.where(far[:, None], 5.0, 0.1) * rng.standard_normal((41, 60))
    fit = quick(UtilityCurve, MULTIPLIERS, values, n_starts=16)
    errors = np.abs(fit.predict(MULTIPLIERS) - truth)
    assert errors[~far].max() < 0.1 and fit.standard_errors[far].min() > 20 * fit.standard_errors[~far].max()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers():
    values = of_pairs(planted(UtilityCurve)(MULTIPLIERS))
    first, second, other = (
        fit_curve(UtilityCurve, MULTIPLIERS, values, n_starts=8, n_resamples=20, seed=s) for s in (1, 1, 2)
    )
    assert first.to_dict() == second.to_dict()
    assert first.fitted["peak"].interval != other.fitted["peak"].interval
    np.testing.assert_allclose(first.predict(MULTIPLIERS), other.predict(MULTIPLIERS), atol=1e-3)


@pytest.mark.parametrize("curve", CURVES)
def test_a_fit_can_be_written_as_json(curve):
    fit = fit_curve(curve, MULTIPLIERS, of_pairs(planted(curve)(MULTIPLIERS)), n_starts=4, n_resamples=20)
    written = json.loads(json.dumps(fit.to_dict(), allow_nan=False))
    assert written["ok"] and written["status"] == "CONVERGED" and len(written["held_out_predictions"]) == 41
    assert written["curve"]["validity"]["variant"] == fit.variant == fit.curve.validity.variant
    assert set(written["agreeing"]) <= set(written["fitted"]) <= set(written["properties"])
    assert len(written["rivals"]) == len(fit.rivals)


def test_a_general_solver_started_at_the_truth_finds_nothing_better():
    truth = planted(PreferenceCurve)
    mean = of_pairs(truth(MULTIPLIERS)).mean(axis=1)

    def residual(parameters):
        gain, offset, baseline, below, above, *decay = parameters
        scale_negative, scale_positive, power_negative, power_positive = np.exp(decay)
        validity = ValidityDecay(
            "plateau", below, scale_negative, power_negative, above, scale_positive, power_positive
        )
        return PreferenceCurve(gain, offset, baseline, validity)(MULTIPLIERS) - mean

    start = [0.6, 0.5, 0.3, -1.0, 2.0, *np.log([30, 60, 0.8, 1.5])]
    best = least_squares(residual, start, xtol=1e-12, ftol=1e-12, gtol=1e-12)
    fit = quick(PreferenceCurve, MULTIPLIERS, exactly(mean), variants=["plateau"], n_starts=16)
    assert np.sum((fit.predict(MULTIPLIERS) - mean) ** 2) <= 2 * best.cost * (1 + 1e-6)
    np.testing.assert_allclose(fit.predict(MULTIPLIERS), mean + residual(best.x), atol=1e-3)


def test_a_global_search_finds_nothing_better():
    scaled = MULTIPLIERS / 20
    mean = of_pairs(planted(UtilityCurve)(MULTIPLIERS), n_pairs=5, noise=3).mean(axis=1)
    form = paper_form(UtilityCurve, "printed", scaled)

    def squared_error(shape):
        columns = form.columns(scaled, shape[None])[0]
        return np.sum((columns @ np.linalg.lstsq(columns, mean, rcond=None)[0] - mean) ** 2)

    best = differential_evolution(squared_error, form.bounds, rng=0, popsize=5, maxiter=60)
    fit = quick(UtilityCurve, MULTIPLIERS, exactly(mean), variants=["printed"], n_starts=16)
    assert np.sum((fit.predict(MULTIPLIERS) - mean) ** 2) <= best.fun * (1 + 1e-6)


def test_problems_solved_together_end_as_problems_solved_alone():
    scaled = MULTIPLIERS / 20
    form = paper_form(PreferenceCurve, "plateau", scaled)
    values = of_pairs(planted(PreferenceCurve)(MULTIPLIERS), n_pairs=6).T
    starts = form.candidates(6, seed=0)
    columns = partial(form.columns, scaled)
    together = minimise(columns, values, starts, form.bounds)
    for index in range(6):
        alone = minimise(columns, values[[index]], starts[[index]], form.bounds)
        np.testing.assert_allclose(alone.squared_error[0], together.squared_error[index], rtol=1e-6)


def test_columns_that_depend_on_each_other_have_the_coefficients_of_the_pseudo_inverse():
    matrices = np.random.default_rng(0).standard_normal((3, 9, 3))
    matrices[1, :, 2] = 2 * matrices[1, :, 0]
    matrices[2] = 0
    basis, to_coefficients = _spanned(matrices)
    np.testing.assert_allclose(
        to_coefficients @ basis.swapaxes(1, 2), np.linalg.pinv(matrices, rcond=1e-12), atol=1e-12
    )
    np.testing.assert_allclose(np.sum(basis**2, axis=(1, 2)), [3, 2, 0], atol=1e-12)


def test_a_descent_that_runs_out_of_steps_has_not_converged():
    scaled = MULTIPLIERS / 20
    form = paper_form(PreferenceCurve, "plateau", scaled)
    values = of_pairs(planted(PreferenceCurve)(MULTIPLIERS)).mean(axis=1)[None]
    assert not minimise(
        partial(form.columns, scaled), values, form.candidates(1, 0), form.bounds, max_steps=2
    ).converged.any()


def test_a_sweep_is_fitted_by_its_preference_and_by_its_utility():
    # Losses from log-odds: P(positive) = U / (1 + e^-preference), P(negative) = U / (1 + e^preference).
    preference, utility = (of_pairs(planted(curve)(MULTIPLIERS), n_pairs=8) for curve in CURVES)
    log_useful = -np.logaddexp(0, -utility)
    sweep = Sweep(
        multipliers=MULTIPLIERS,
        pairs=tuple("abcdefgh"),
        loss_positive=np.logaddexp(0, -preference) - log_useful,
        loss_negative=np.logaddexp(0, preference) - log_useful,
        tokens_positive=np.full(8, 5),
        tokens_negative=np.full(8, 5),
        relative_shift=np.zeros((41, 8)),
        key=Key("none", "vector", "add", "0:resid_post"),
    )
    for fit, values in ((fit_preference, preference), (fit_utility, utility)):
        fitted = fit(sweep, n_starts=4, n_resamples=0)
        np.testing.assert_allclose(fitted.mean, values.mean(axis=1), atol=1e-9)
        assert fitted.ok and fitted.quantity in fit.__name__
