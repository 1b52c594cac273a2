"""What vectors predict of other forms: where both are planted, by another route, and where there is nothing to predict by."""

from dataclasses import replace

import numpy as np
import pytest
from worlds.forms import forms

from analyses.claims import CLAIMS, one_mechanism
from analyses.claims.verdict import judge
from mechsteer.measuring.useful import useful_range
from mechsteer.statistics.judging import Outcome


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(one_mechanism, "N_RESAMPLES", 200)


def test_a_ratio_is_that_of_the_shifts_at_the_ends_of_the_useful_ranges():
    sweeps = forms(0.7, n_pairs=60)
    ends = [np.log(sweep.shift_at(np.array(useful_range(sweep)))) for sweep in sweeps]
    apart = ends[3] - np.mean(ends[:3], axis=0)
    claim = one_mechanism.run(sweeps).claims[0]
    assert claim.key.form == "lora"
    assert np.log(claim.estimate) == pytest.approx(apart[np.abs(apart).argmax()], abs=1e-9)


def test_what_chance_does_and_how_a_multiplier_is_scaled_change_nothing():
    sweeps = forms(0.7, n_pairs=60)
    chance = replace(
        sweeps[0], key=replace(sweeps[0].key, method="Random"), relative_shift=9 * sweeps[0].relative_shift
    )
    scaled = [replace(sweep, multipliers=sweep.multipliers * (index + 1)) for index, sweep in enumerate(sweeps)]
    first, second = (one_mechanism.run(given).claims for given in (sweeps, [chance, *scaled]))
    assert [claim.estimate for claim in first] == pytest.approx([claim.estimate for claim in second])


def test_vectors_that_do_not_predict_each_other_support_nothing():
    for seed in range(6):
        found = one_mechanism.run(forms(vectors_apart=0.7, seed=seed)).claims
        assert Outcome.SUPPORTED not in [claim.outcome for claim in found]


def test_without_vectors_or_other_forms_there_is_nothing_to_claim():
    sweeps = forms(n_pairs=30)
    assert one_mechanism.run(sweeps[:3]).claims == one_mechanism.run(sweeps[3:]).claims == ()


def test_a_side_on_which_half_a_nat_is_never_lost_decides_nothing():
    sweeps = forms(0.5, n_pairs=60)
    kept = sweeps[3].multipliers >= -0.1
    cells = {name: getattr(sweeps[3], name)[kept] for name in ("loss_positive", "loss_negative", "relative_shift")}
    short = replace(sweeps[3], multipliers=sweeps[3].multipliers[kept], **cells)
    claims = one_mechanism.run([*sweeps[:3], short, sweeps[4]]).claims
    assert claims[0].outcome is Outcome.INCONCLUSIVE and "Sweep further" in claims[0].because
    assert claims[1].outcome is Outcome.REFUTED


def test_several_trainings_of_a_steer_are_one_claim_whose_doubt_holds_their_scatter():
    sweeps = forms(n_pairs=60)
    seeds = [replace(sweep, key=replace(sweep.key, seed=0)) for sweep in sweeps]
    other = replace(sweeps[3], key=replace(sweeps[3].key, seed=1), relative_shift=1.5 * sweeps[3].relative_shift)
    alone, both = judge(CLAIMS["one_mechanism"], seeds), judge(CLAIMS["one_mechanism"], [*seeds, other])
    assert len(alone.claims) == len(both.claims) == 2
    width = [np.log(result.claims[0].interval.high / result.claims[0].interval.low) for result in (alone, both)]
    assert width[1] > 2 * width[0]
