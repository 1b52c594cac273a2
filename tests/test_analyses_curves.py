"""Analyses find what was planted, refute its opposite, and decide nothing where nothing can be decided."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, log_expit
from typer.testing import CliRunner

import mechsteer as ms
from analyses import (
    linear_region,
    measurement,
    preference_curve,
    projection_gain,
    split_wins,
    transfer,
    utility_curve,
    verdict,
)
from analyses.__main__ import app
from analyses.evidence import Evidence, LayerActivations
from mechsteer import Outcome
from mechsteer.curves import PreferenceCurve, UtilityCurve, ValidityDecay
from mechsteer.sweeps import Sweep

GRID = np.concatenate([-np.geomspace(0.1, 8, 12)[::-1], [0.0], np.geomspace(0.1, 8, 12)])
DECAY = ValidityDecay(0.0, 0.0, 2.0, 1.5, 0.0, 3.0, 1.4)
PREFERENCE = PreferenceCurve(3.0, 0.5, 0.2, DECAY)
UTILITY = UtilityCurve(30.0, -45.0, DECAY)
SUPPORTED, REFUTED, INCONCLUSIVE = Outcome
BY_EVIDENCE = (measurement, linear_region, projection_gain, preference_curve, utility_curve, transfer)


@pytest.fixture(scope="module", autouse=True)
def fewer_resamples():
    """Enough for what is planted here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analyses.rivals.N_RESAMPLES", 60)
        yield


def two_steps(m):
    """Two logistic steps of different width: no decay in them."""
    return 12 * expit((m + 3) / 0.5) + 8 * expit((m - 1) / 0.2)


def planted_sweep(preference, utility, *, n_pairs=40, seed=0, method="DiffMean", lengths=None) -> Sweep:
    """A sweep whose mean preference and utility are these curves, but for pairs that differ by a constant and noise."""
    rng = np.random.default_rng(seed)
    noise = 0.004 * rng.standard_normal((2, len(GRID), n_pairs))
    offsets = 0.3 * rng.standard_normal((2, n_pairs))
    offsets -= offsets.mean(axis=1, keepdims=True)
    p = preference(GRID)[:, None] + offsets[0] + noise[0]
    u = utility(GRID)[:, None] + 2 * offsets[1] + noise[1]
    lengths = np.full(n_pairs, 9) if lengths is None else lengths
    return Sweep(
        multipliers=GRID,
        pairs=tuple(f"pair {index}" for index in range(n_pairs)),
        loss_positive=-log_expit(u) - log_expit(p),
        loss_negative=-log_expit(u) - log_expit(-p),
        tokens_positive=lengths,
        tokens_negative=lengths,
        relative_shift=np.abs(GRID)[:, None] * np.full(n_pairs, 0.25),
        intervention=f"{method} vector 1:resid_post",
        form="vector",
        method=method,
        layer=1,
        place="resid_post",
    )


def planted(preference=PREFERENCE, utility=UTILITY, *, learning=None, projected=1.0, **settings) -> Evidence:
    """Evidence of a steer with these curves; its projection is a share of its slope at zero."""
    rng = np.random.default_rng(1)
    sweep = planted_sweep(preference, utility, **settings)
    n_pairs, d, k = len(sweep.pairs), 6, 4
    step = 1e-5
    slope = np.full(n_pairs, float(np.diff(preference(np.array([-step, step])))[0] / (2 * step)))
    delta = np.tile(np.eye(d)[0], (n_pairs, 1))
    token_pair = np.repeat(np.arange(n_pairs), 3)
    # Activations near a plane: what fills all directions has no manifold to lie off.
    base, learnt = (
        rng.standard_normal((n, d)) * np.array([0.05, 1, 1, 0.05, 0.05, 0.05]) for n in (len(token_pair), 200)
    )
    multipliers = GRID[[0, 6, -6, -1]]
    steered = base + multipliers[:, None, None] * delta[0]
    return Evidence(
        subject="DiffMean vector 1:resid_post on planted",
        sweep=sweep,
        learning_sweep=planted_sweep(*(learning or (preference, utility)), n_pairs=n_pairs, seed=7),
        multipliers=multipliers,
        token_pair=token_pair,
        layers={1: LayerActivations(*(part.astype(np.float32) for part in (learnt, base, steered.reshape(k, -1, d))))},
        site_layer=1,
        delta=delta,
        gradient_preference=projected * slope[:, None] * delta + rng.standard_normal((n_pairs, d)) * (1 - delta),
        gradient_utility=rng.standard_normal((n_pairs, d)) * (1 - delta),
        slope_preference=slope,
        slope_utility=np.zeros(n_pairs),
        has_layer_norm=False,
    )


def outcomes(analysis, evidence: Evidence) -> list[Outcome]:
    return [claim.outcome for claim in analysis.run(evidence).claims]


def test_the_planted_sweep_has_the_planted_curves():
    sweep = planted_sweep(PREFERENCE, UTILITY)
    assert_allclose(sweep.preference.mean(axis=1), PREFERENCE(GRID), atol=0.03)
    assert_allclose(sweep.utility.mean(axis=1), UTILITY(GRID), atol=0.03)


def test_curves_of_the_paper_beat_their_rivals_and_lose_to_them_where_a_rival_was_planted():
    ours = planted()
    assert outcomes(preference_curve, ours) == [SUPPORTED, SUPPORTED]
    assert outcomes(utility_curve, ours) == [SUPPORTED, SUPPORTED]
    theirs = planted(two_steps, lambda m: -50 + two_steps(m))
    assert outcomes(preference_curve, theirs)[0] is REFUTED
    assert outcomes(utility_curve, theirs)[0] is REFUTED


def test_errors_on_unseen_multipliers_are_those_of_the_fit():
    evidence = planted(two_steps)
    table = preference_curve.run(evidence).tables["rivals"]
    fit = ms.fit_preference(evidence.sweep, n_resamples=0)
    assert_allclose(table.paper_held_out_error.iloc[0], fit.score.held_out_error, rtol=1e-3)
    expected = {score.name: score.held_out_error for score in fit.rivals}
    assert_allclose(table.held_out_error, [expected[name] for name in table.rival], rtol=1e-3)


def test_a_peak_away_from_zero_is_found_out():
    away = ValidityDecay(2.0, 2.0, 6.0, 1.5, 2.0, 9.0, 1.2)
    claim = utility_curve.run(planted(utility=UtilityCurve(30.0, -45.0, away))).claims[1]
    assert claim.outcome is REFUTED
    assert claim.estimate == pytest.approx(0.5, abs=0.05)  # two multipliers of a quarter each


def test_preference_that_never_levels_off_has_no_three_regions():
    endless = ValidityDecay(0.0, 0.0, 4000.0, 1.0, 0.0, 4000.0, 1.0)
    claims = preference_curve.run(planted(PreferenceCurve(3.0, 0.5, 0.2, endless))).claims
    assert claims[1].outcome is REFUTED and claims[1].to_dict()["estimate"] is None


@pytest.mark.parametrize(
    ("curve", "line", "tangent"),
    [
        (lambda m: 3 * np.tanh(m / 4), SUPPORTED, SUPPORTED),
        (lambda m: 3 * np.tanh(m / 4) - 0.4 * np.tanh(m / 0.3), SUPPORTED, REFUTED),  # flatter at zero than around it
        (lambda m: np.tanh(60 * m), REFUTED, REFUTED),
    ],
)
def test_a_line_and_the_tangent_hold_where_they_should(curve, line, tangent):
    assert outcomes(linear_region, planted(curve)) == [line, tangent]


def test_the_tangent_of_a_known_curve_ends_where_it_departs_by_a_tenth():
    table = linear_region.run(planted(lambda m: m - 0.1 * m**2)).tables["regions"]
    row = table[(table.line == "its tangent at zero") & (table["resample"] == -1)].iloc[0]
    assert (row.low, row.high) == pytest.approx((-1, 1), abs=0.15)
    assert row.slope == pytest.approx(1, rel=1e-6)


def test_the_projection_is_the_slope_or_is_not():
    straight = planted(lambda m: 3 * np.tanh(m / 4))
    assert outcomes(projection_gain, straight) == [SUPPORTED, SUPPORTED]
    assert outcomes(projection_gain, planted(lambda m: 3 * np.tanh(m / 4), projected=0.1)) == [REFUTED, REFUTED]
    # The readout at zero is not what steering meets further out.
    later = planted(lambda m: 3 * np.tanh(m / 4) - 0.4 * np.tanh(m / 0.3))
    assert outcomes(projection_gain, later) == [SUPPORTED, REFUTED]
    assert outcomes(projection_gain, planted(lambda m: 0 * m))[0] is INCONCLUSIVE


def test_a_curve_transfers_as_it_is_or_by_its_shape_or_not_at_all():
    assert outcomes(transfer, planted()) == [SUPPORTED] * 4
    weaker = (lambda m: 4 + 0.3 * PREFERENCE(m), lambda m: -60 + 0.5 * UTILITY(m))
    assert outcomes(transfer, planted(learning=weaker)) == [REFUTED, SUPPORTED, REFUTED, SUPPORTED]
    mirrored = (lambda m: PREFERENCE(m) - PREFERENCE(-m), lambda m: UTILITY(m - 4))
    found = outcomes(transfer, planted(lambda m: PREFERENCE(m) + PREFERENCE(-m), UTILITY, learning=mirrored))
    assert found[:2] == [REFUTED, REFUTED] and found[2] is REFUTED


def test_nuisances_explain_what_was_made_from_them_and_nothing_else():
    independent = measurement.run(planted(lambda m: 3 * np.tanh(m / 4), n_pairs=80))
    assert [claim.outcome for claim in independent.claims][0] is SUPPORTED
    sweep = planted_sweep(PREFERENCE, UTILITY, n_pairs=80)
    zero = int(np.flatnonzero(GRID == 0)[0])
    lengths = np.round(30 + 12 * sweep.preference[zero]).astype(np.int64)
    planted_in = measurement.run(planted(n_pairs=80, lengths=lengths))
    assert planted_in.claims[0].outcome is REFUTED
    correlations = planted_in.tables["correlations"].set_index(["log_odds", "nuisance"]).correlation
    assert correlations["preference", "length"] > 0.95
    assert set(planted_in.tables["balance"].feature) == {"length", "loss_per_token"}


def test_split_wins_where_its_frontier_is_higher_and_not_against_itself():
    better, worse = PreferenceCurve(3.0, 0.5, 0.2, DECAY), PreferenceCurve(1.0, 0.5, 0.2, DECAY)
    outcome = {}
    for name, (split, rival) in {"wins": (better, worse), "loses": (worse, better), "ties": (worse, worse)}.items():
        sweeps = [planted_sweep(split, UTILITY, method="SPLIT"), planted_sweep(rival, UTILITY, method="SFT")]
        (claim,) = split_wins.run(sweeps, "planted").claims
        outcome[name] = claim.outcome
    assert outcome == {"wins": SUPPORTED, "loses": REFUTED, "ties": INCONCLUSIVE}
    few = [planted_sweep(curve, UTILITY, method=name, n_pairs=9) for curve, name in ((better, "SPLIT"), (worse, "SFT"))]
    assert split_wins.run(few, "planted").claims[0].outcome is INCONCLUSIVE
    assert split_wins.run(few[1:], "planted").claims == ()


@pytest.mark.parametrize("analysis", BY_EVIDENCE)
def test_too_few_pairs_decide_nothing(analysis):
    claims = analysis.run(planted(n_pairs=19)).claims
    assert claims and all(claim.outcome is INCONCLUSIVE and "19 pairs" in claim.because for claim in claims)


@pytest.mark.parametrize("analysis", BY_EVIDENCE)
def test_what_does_not_change_decides_nothing_about_steering(analysis):
    flat = planted(lambda m: 0 * m + 1, lambda m: 0 * m - 9, n_pairs=40)
    claims = analysis.run(flat).claims
    if analysis is not measurement:
        assert claims and all(claim.outcome is INCONCLUSIVE for claim in claims)


@pytest.mark.parametrize("analysis", [utility_curve, transfer, measurement])
def test_utility_that_is_undefined_decides_nothing(analysis):
    sweep = planted_sweep(PREFERENCE, UTILITY)
    likely = replace(sweep, loss_positive=np.full_like(sweep.loss_positive, 0.1), loss_negative=sweep.loss_negative / 9)
    likely = replace(likely, loss_negative=np.full_like(sweep.loss_negative, 0.2))
    assert np.isnan(likely.utility).all()
    claims = analysis.run(replace(planted(), sweep=likely, learning_sweep=likely)).claims
    about_utility = [claim for claim in claims if "utility" in claim.claim]
    assert about_utility and all(claim.outcome is INCONCLUSIVE for claim in about_utility)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A folder with the evidence of two steers, judged by a few analyses."""
    folder = tmp_path_factory.mktemp("study")
    chosen = ("measurement", "one_operation", "linear_region", "preference_curve", "split_wins")
    for method, curve in (("SPLIT", PREFERENCE), ("SFT", two_steps)):
        evidence = planted(curve, method=method, n_pairs=24)
        evidence = replace(evidence, subject=f"{method} vector 1:resid_post on planted")
        evidence.save(folder / f"evidence/{method}.npz")
    sweeps = [planted_sweep(PREFERENCE, UTILITY, method=method, n_pairs=24) for method in ("SPLIT", "SFT")]
    ms.save_sweeps(sweeps, folder / "sweeps.parquet")
    compared = {"difference": 1e-6, "change": 1.0, "reversed": 1.5, "tolerance": 1e-3}
    pd.DataFrame([{"subject": "SPLIT vector 1:resid_post on planted", **compared}] * 24).to_parquet(
        folder / "evidence/one_operation.parquet"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdict, "ANALYSES", {name: verdict.ANALYSES[name] for name in chosen})
        return folder, verdict.judge_study(folder)


def test_a_study_is_judged_as_a_whole_and_leaves_its_claims_and_tables(judged):
    folder, claims = judged
    rows = json.loads((folder / "claims.json").read_text())
    assert [row["claim"] for row in rows] == [claim.claim for claim in claims]
    assert {claim.claim.split(":")[0] for claim in claims} <= set(verdict.ANALYSES)
    # What the model, the pairs and the site say of themselves is said once.
    assert [row["subject"] for row in rows if row["claim"] == "measurement: preference"] == ["1:resid_post on planted"]
    rivals = pd.read_parquet(folder / "claims/preference_curve-rivals.parquet")
    assert set(rivals.subject) == {f"{method} vector 1:resid_post on planted" for method in ("SPLIT", "SFT")}
    alone = verdict.judge_one(folder, "preference_curve").claims
    corrected = [claim for claim in claims if claim.claim.startswith("preference_curve: rivals")]
    for before, after in zip([claim for claim in alone if "rivals" in claim.claim], corrected, strict=True):
        assert after.p_value >= before.p_value


def test_one_analysis_runs_alone_from_the_command_line(judged, tmp_path):
    shown = CliRunner().invoke(app, ["measurement", "--study", str(judged[0])], env={"COLUMNS": "200"})
    assert shown.exit_code == 0 and "supported" in shown.output and "R² on unseen pairs" in shown.output
    assert CliRunner().invoke(app, ["measurement", "--study", str(tmp_path)]).exit_code == 2
    assert CliRunner().invoke(app, ["astrology", "--study", str(tmp_path)]).exit_code == 2
    listed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    assert all(name in listed for name in verdict.ANALYSES)
