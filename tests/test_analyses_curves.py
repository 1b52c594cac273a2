"""Analyses of curves: what they measure is what was planted, and where nothing can be decided they decide nothing."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner
from worlds.curves import (
    GRID,
    PREFERENCE,
    SHIFT_PER_UNIT,
    UTILITY,
    constant,
    steer,
    sweep,
    two_steps,
    wide,
)

import mechsteer as ms
from analyses.__main__ import app
from analyses.claims import (
    CLAIMS,
    linear_region,
    measurement,
    preference_curve,
    projection_gain,
    rivals,
    split_wins,
    transfer,
    utility_curve,
)
from analyses.claims.verdict import judge
from analyses.evidence.evidence import Evidence
from analyses.studies.again import judge_again
from mechsteer import Outcome
from mechsteer.curves import FitStatus, UtilityCurve, ValidityDecay, search, separable
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.intervals import r_squared
from mechsteer.store.keys import keys_in, labelled, rows_of

SUPPORTED, REFUTED, INCONCLUSIVE = Outcome
BY_EVIDENCE = (measurement, linear_region, projection_gain, preference_curve, utility_curve, transfer)


@pytest.fixture(scope="module", autouse=True)
def fewer_resamples():
    """Enough for what is planted here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analyses.claims.rivals.N_RESAMPLES", 30)
        yield


def outcomes(analysis, evidence: Evidence) -> list[Outcome]:
    return [claim.outcome for claim in analysis.run(evidence).claims]


def test_the_planted_sweep_has_the_planted_curves():
    planted = sweep(spread=0.0, departures=0.0)
    assert_allclose(planted.preference.mean(axis=1), PREFERENCE(GRID), atol=0.03)
    assert_allclose(planted.utility.mean(axis=1), UTILITY(GRID), atol=0.03)


@pytest.mark.slow
def test_errors_on_unseen_multipliers_are_those_of_the_fit():
    evidence = steer()
    table = preference_curve.run(evidence).tables["rivals"]
    found = ms.fit_preference(evidence.sweep, n_resamples=0)
    rows = table.loc[table.kind != "variant"].set_index("rival")
    assert_allclose(table.paper_held_out_error.iloc[0], found.score.held_out_error, rtol=5e-2)
    for score in (*found.rivals, found.spline):
        assert_allclose(rows.held_out_error[score.name], score.held_out_error, rtol=5e-2)
        assert_allclose(rows.end_error[score.name], score.end_error, rtol=5e-2)
    assert set(table.loc[table.kind == "variant"].rival) == {score.name for score in found.variants}


@pytest.mark.parametrize("analysis", [preference_curve, utility_curve])
def test_a_fit_that_did_not_converge_decides_nothing(analysis, monkeypatch):
    monkeypatch.setattr(search, "minimise", lambda *given: separable.minimise(*given[:5], max_steps=0))
    *about_the_curve, measured = analysis.run(steer()).claims
    assert all(claim.outcome is INCONCLUSIVE for claim in about_the_curve)
    assert {claim.because for claim in about_the_curve} == {FitStatus.NOT_CONVERGED.value}
    # What is measured needs no curve.
    assert measured.outcome is SUPPORTED


@pytest.mark.slow
@pytest.mark.parametrize("stuck", ["Gaussian decay", "rational quadratic, plateau"])
def test_a_comparison_with_a_fit_that_did_not_converge_decides_nothing(stuck, monkeypatch):
    whole = rivals.predict_blocks

    def some_undefined(form, *given):
        found = whole(form, *given)
        return np.full_like(found, np.nan) if form.name == stuck else found

    monkeypatch.setattr(rivals, "predict_blocks", some_undefined)
    *_, comparison, peak = utility_curve.run(steer()).claims
    assert comparison.outcome is INCONCLUSIVE
    assert "did not converge" in comparison.because or "did not come to rest" in comparison.because
    assert peak.outcome is SUPPORTED


@pytest.mark.slow
def test_a_curve_that_is_no_fit_is_refuted_and_not_passed_over():
    """No curve of the paper's goes in waves; what it misses by is told."""
    found = utility_curve.run(steer(utility=lambda multipliers: 6 * np.sin(multipliers) - 50, departures=0.0))
    assert found.claims[0].outcome is REFUTED and found.claims[1].outcome is REFUTED


@pytest.mark.slow
def test_a_peak_away_from_zero_is_found_out():
    away = UtilityCurve(30.0, -45.0, ValidityDecay("plateau", 2.0, 6.0, 1.5, 2.0, 9.0, 1.2))
    claim = utility_curve.run(steer(utility=away)).claims[-1]
    assert claim.outcome is REFUTED
    assert claim.estimate == pytest.approx(2 * SHIFT_PER_UNIT, abs=0.05)


def test_the_tangent_of_a_known_curve_ends_where_it_misses_by_a_tenth_of_its_rise():
    # The curve m - m²/10 misses its tangent by a²/10 at -a and a, over which that rises by 2a: a tenth of it at a = 2.
    table = linear_region.run(steer(lambda m: m - 0.1 * m**2, wide, spread=0.0, departures=0.0, noise=0.001)).tables[
        "regions"
    ]
    row = table[(table.line == "its tangent at zero") & (table["resample"] == -1)].iloc[0]
    last = GRID[GRID < 2][-1]
    assert (row.low, row.high) == (-last, last)
    assert row.slope == pytest.approx(1, rel=1e-6)


def test_resamples_with_few_multipliers_in_the_useful_range_widen_the_interval_and_do_not_blank_it():
    result = linear_region.run(
        steer(lambda m: 5 * m, lambda m: -50 - 0.3 * (m / 0.16) ** 2, n_pairs=24, noise=0.3)
    )  # fmt: skip
    claim, table = result.claims[0], result.tables["regions"]
    share = table.loc[(table.line == "a straight line") & (table["resample"] >= 0), "share"].to_numpy()
    n_unknown = int(np.isnan(share).sum())
    assert 0 < n_unknown < 25, "fewer than a fortieth, which alone would decide nothing"
    assert f"In {n_unknown} of 1000 resamples fewer than 5 multipliers" in claim.because
    assert claim.interval.low <= np.nanquantile(share, 0.025)
    assert (claim.interval.low, claim.interval.high) == (
        np.quantile(np.nan_to_num(share, nan=0), 0.025, method="closest_observation"), share[~np.isnan(share)].max()
    )  # fmt: skip


def test_length_that_was_planted_is_found():
    result = measurement.run(steer(n_pairs=100, by_length=0.9))
    assert {claim.outcome for claim in result.claims} == {REFUTED}
    correlations = result.tables["correlations"].set_index(["log_odds", "nuisance"]).correlation
    assert correlations["preference", "length_difference"] < -0.9 and correlations["utility", "length"] < -0.9
    assert set(result.tables["balance"].feature) == {"length", "loss_per_token"}


def test_split_neither_wins_nor_loses_against_itself():
    sweeps = [sweep(method=method) for method in ("SPLIT", "SFT")]
    (claim,) = split_wins.run(sweeps).claims
    assert claim.outcome is INCONCLUSIVE and claim.estimate == 0
    assert "The difference is +0.00 [0.00, 0.00]; on lines" in claim.because
    assert split_wins.run(sweeps[1:]).claims == ()


@pytest.mark.parametrize("analysis", BY_EVIDENCE)
def test_too_few_pairs_decide_nothing(analysis):
    claims = analysis.run(steer(n_pairs=19)).claims
    assert claims and all(claim.outcome is INCONCLUSIVE and "19 pairs" in claim.because for claim in claims)


@pytest.mark.slow
@pytest.mark.parametrize("analysis", [item for item in BY_EVIDENCE if item is not measurement])
def test_what_does_not_change_decides_nothing_about_steering(analysis):
    assert set(outcomes(analysis, steer(constant, constant, n_pairs=40))) == {INCONCLUSIVE}


def undefined(planted: Sweep) -> Sweep:
    """Completions that are together more likely than certain."""
    loss = np.full_like(planted.loss_positive, 0.1)
    return replace(planted, loss_positive=loss, loss_negative=2 * loss)


@pytest.mark.parametrize("analysis", [utility_curve, transfer, measurement])
def test_utility_that_is_undefined_decides_nothing(analysis):
    evidence = steer()
    assert np.isnan(undefined(evidence.sweep).utility).all()
    evidence = replace(evidence, sweep=undefined(evidence.sweep), learning_sweep=undefined(evidence.learning_sweep))
    about_utility = [claim for claim in analysis.run(evidence).claims if "utility" in claim.name]
    assert about_utility and all(claim.outcome is INCONCLUSIVE for claim in about_utility)


def test_utility_that_is_undefined_decides_nothing_between_methods():
    (claim,) = split_wins.run([undefined(sweep(method=name)) for name in ("SPLIT", "SFT")]).claims
    assert claim.outcome is INCONCLUSIVE and "0 pairs" in claim.because


def test_sweeps_of_one_side_leave_undecided_which_gains_more_and_stop_nothing():
    planted = [sweep(method=method, n_pairs=24) for method in ("SPLIT", "SFT", "Random")]
    side = planted[0].multipliers >= 0
    measured = ("multipliers", "loss_positive", "loss_negative", "relative_shift")
    given = [replace(item, **{name: getattr(item, name)[side] for name in measured}) for item in planted]
    (claim,) = judge(CLAIMS["split_wins"], given).claims
    assert claim.outcome is INCONCLUSIVE and "both sides of zero" in claim.because
    assert (claim.claim, claim.key.method, claim.key.pairs_content) == ("split_wins", "", planted[0].key.pairs_content)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A folder with the evidence of two steers."""
    folder = tmp_path_factory.mktemp("study")
    for method, curve in (("SPLIT", PREFERENCE), ("SFT", two_steps)):
        steer(curve, method=method, n_pairs=24).save(folder / f"evidence/{method}.npz")
    (folder / "evidence/.left.partial.npz").write_bytes(b"half of it")
    sweeps = [sweep(method=method, n_pairs=24) for method in ("SPLIT", "SFT")]
    ms.save_sweeps(sweeps, folder / "sweeps.parquet")
    compared = {"difference": 1e-6, "change": 1.0, "reversed": 1.5, "tolerance": 1e-3}
    table = labelled(pd.DataFrame([compared] * 24), sweeps[0].key)
    table.to_parquet(folder / "evidence/one_operation.parquet")
    return folder


@pytest.mark.slow
def test_an_analysis_judges_each_steer_and_what_is_of_none_once(judged):
    found = judge_again(judged, "preference_curve")
    methods = {claim.key.method for claim in found.claims}
    assert methods == {"SPLIT", "SFT"} == set(found.tables["rivals"].method)
    once = judge_again(judged, "measurement").claims
    assert [claim.part for claim in once] == ["preference", "utility"]
    assert {str(claim.key) for claim in once} == {"1:resid_post on planted"}
    (operation,) = judge_again(judged, "one_operation").claims
    assert operation.key == sweep(method="SPLIT").key
    (split,) = judge_again(judged, "split_wins").claims
    assert (split.key.method, split.key.form, split.against) == ("SPLIT", "vector", "SFT")


def test_two_steers_that_are_called_alike_are_told_apart():
    one = steer(PREFERENCE, method="SFT", n_pairs=24)
    key = replace(one.key, settings="other")
    assert str(key) == str(one.key) and key != one.key and key.id != one.key.id
    tables = [judge(CLAIMS["linear_region"], item).tables["regions"] for item in (one, one.of(key))]
    assert len(keys_in(pd.concat(tables))) == 2
    assert len(rows_of(pd.concat(tables), key)) == len(tables[1])


def test_one_analysis_runs_alone_from_the_command_line(judged, tmp_path):
    shown = CliRunner().invoke(app, ["measurement", "--study", str(judged)], env={"COLUMNS": "200"})
    assert shown.exit_code == 0 and "inconclusive" in shown.output and "R² on unseen pairs" in shown.output
    assert CliRunner().invoke(app, ["measurement", "--study", str(tmp_path)]).exit_code == 2
    assert CliRunner().invoke(app, ["astrology", "--study", str(tmp_path)]).exit_code == 2
    listed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    assert all(name in listed for name in CLAIMS.members())


def regions(evidence):
    """Of a fit that has found something; whatever its curve, the regions are measured."""
    return preference_curve._three_regions(
        FitStatus.CONVERGED, evidence.sweep, evidence.slope_preference, evidence.key, evidence.seed
    )


def far_off(evidence, falls):
    """One more multiplier on either side, four times as far out, where preference is the same, or so much lower below zero."""
    sweep = evidence.sweep
    m = np.concatenate([4 * sweep.multipliers[:1], sweep.multipliers, 4 * sweep.multipliers[-1:]])
    ends = {name: getattr(sweep, name) for name in ("loss_positive", "loss_negative", "relative_shift")}
    ends = {name: np.concatenate([values[:1], values, values[-1:]]) for name, values in ends.items()}
    ends["loss_negative"][0] -= falls
    return replace(evidence, sweep=replace(sweep, multipliers=m, **ends))


def test_regions_have_a_p_value_though_preference_may_never_level_off(monkeypatch):
    monkeypatch.setattr(preference_curve, "N_RESAMPLES", 399)
    level, steep = regions(steer(n_pairs=1000)), regions(steer(two_steps))
    assert level.outcome is SUPPORTED and level.p_value == pytest.approx(2 / 400)
    assert steep.outcome is REFUTED and np.isinf(steep.interval.high)
    assert steep.p_value == pytest.approx(2 / 400)


def test_one_multiplier_far_off_does_not_decide_whether_preference_levels_off(monkeypatch):
    monkeypatch.setattr(preference_curve, "N_RESAMPLES", 399)
    evidence = steer(n_pairs=1000)
    assert regions(far_off(evidence, falls=0.0)).outcome is SUPPORTED
    fallen = regions(far_off(evidence, falls=400.0))
    assert fallen.outcome is INCONCLUSIVE and "last multiplier of a side alone" in fallen.because
    assert fallen.p_value > 0.05


def test_a_nuisance_that_few_pairs_cannot_show_is_not_taken_for_absent():
    """Half of the variance is length's: twenty pairs never support that it is little, and two hundred refute it."""
    few = [claim for seed in range(6) for claim in measurement.run(steer(n_pairs=20, by_length=0.5, seed=seed)).claims]
    assert SUPPORTED not in {claim.outcome for claim in few}
    undecided = next(claim for claim in few if claim.outcome is INCONCLUSIVE)
    assert undecided.because.endswith("so this study cannot decide.") and np.isnan(undecided.p_value)
    for share, outcome in ((0.5, REFUTED), (0.0, SUPPORTED)):
        many = measurement.run(steer(n_pairs=200, by_length=share)).claims
        assert {claim.outcome for claim in many} == {outcome} and max(claim.p_value for claim in many) < 0.05


def test_a_ridge_leaves_what_it_cannot_learn_at_the_mean():
    """Least squares on noise predict worse than the mean does; with a penalty from within, hardly."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(30):
        features, values = rng.standard_normal((20, 4)), rng.standard_normal(20)
        found.append(r_squared(values, *measurement._predict_unseen(features, values, rng)))
    assert np.mean(found) > -0.2
    features = rng.standard_normal((200, 4))
    values = features @ [1.0, -2.0, 0.5, 0.0]
    predictions, _ = measurement._predict_unseen(features, values, rng)
    assert_allclose(predictions, values, atol=0.02)
