"""What vectors predict of other forms: where both are planted, by another route, and where there is nothing to predict by."""

from dataclasses import replace

import numpy as np
import pytest
from worlds.forms import forms, vectors_and_lora

from analyses.claims import CLAIMS, one_mechanism
from analyses.claims.verdict import judge
from mechsteer.measuring.useful import useful_range
from mechsteer.statistics.judging import Outcome


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(one_mechanism, "N_RESAMPLES", 200)


def test_a_ratio_is_that_of_the_shifts_at_the_ends_of_the_useful_ranges():
    sweeps = forms(0.7, n_pairs=60)
    ends = [np.log2(sweep.shift_at(np.array(useful_range(sweep)))) for sweep in sweeps]
    claims = [claim for claim in one_mechanism.run(sweeps).claims if claim.key.form == "lora"]
    assert [claim.part for claim in claims] == ["m < 0", "m > 0"]
    assert [claim.estimate for claim in claims] == pytest.approx(ends[3] - np.mean(ends[:3], axis=0), abs=1e-9)
    for claim in claims:
        assert f"loses half a nat at {2**claim.estimate:.2f} [{2**claim.interval.low:.2f}" in claim.because


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
    below, above, *others = one_mechanism.run([*sweeps[:3], short, sweeps[4]]).claims
    assert below.outcome is Outcome.INCONCLUSIVE and "Sweep further" in below.because
    assert {claim.outcome for claim in (above, *others)} == {Outcome.REFUTED}


def test_a_side_says_nothing_of_the_other():
    for seed in range(3):
        below, above = one_mechanism.run(vectors_and_lora(0.5, one_side=True, seed=seed)).claims
        assert above.outcome is Outcome.REFUTED and above.estimate == pytest.approx(-1, abs=0.3)
        assert below.outcome is not Outcome.REFUTED and below.estimate == pytest.approx(0, abs=0.3)


def trained(factors_of_vectors, factors_of_lora):
    """A vector and a LoRA of two training seeds each, whose shifts are so many times as long."""
    vector, lora = (forms(n_pairs=60)[index] for index in (1, 3))
    return [
        replace(sweep, key=replace(sweep.key, seed=seed), relative_shift=factor * sweep.relative_shift)
        for sweep, factors in ((vector, factors_of_vectors), (lora, factors_of_lora))
        for seed, factor in enumerate(factors)
    ]


def test_trainings_are_held_against_vectors_of_their_own_seed():
    """What both gain by a lucky seed is no doubt of their ratio; what the vectors alone do is one, though the LoRA repeats."""
    neither, vectors, both, opposite = (
        one_mechanism.run(trained(*factors)).claims[0]
        for factors in (((1, 1), (1, 1)), ((1, 4), (2, 2)), ((1, 4), (1, 4)), ((1, 4), (4, 1)))
    )
    widths = [claim.interval.high - claim.interval.low for claim in (neither, vectors, both, opposite)]
    assert [claim.estimate for claim in (vectors, both, opposite)] == pytest.approx([neither.estimate] * 3)
    assert widths[2] == pytest.approx(widths[0])
    assert widths[0] < widths[1] < widths[3]


def test_a_p_value_agrees_with_the_interval_of_few_trainings(monkeypatch):
    """Student's: of two trainings a normal tail would be far below what the interval allows."""
    monkeypatch.setattr(one_mechanism, "if_powerful", lambda found, claim, **_: claim)
    for factor in (1.0, 1.2, 1.5, 2.0, 8.0):
        for spread in (1.01, 1.05, 1.2):
            for claim in one_mechanism.run(trained((1, 1), (factor, factor * spread))).claims:
                crossed = any(bound in claim.interval for bound in one_mechanism.ALLOWED)
                assert (claim.p_value >= 0.05) == crossed


def test_several_trainings_of_a_steer_are_one_claim_whose_doubt_holds_their_scatter():
    sweeps = forms(n_pairs=60)
    seeds = [replace(sweep, key=replace(sweep.key, seed=0)) for sweep in sweeps]
    other = replace(sweeps[3], key=replace(sweeps[3].key, seed=1), relative_shift=1.5 * sweeps[3].relative_shift)
    alone, both = judge(CLAIMS["one_mechanism"], seeds), judge(CLAIMS["one_mechanism"], [*seeds, other])
    assert len(alone.claims) == len(both.claims) == 4
    width = [result.claims[0].interval.high - result.claims[0].interval.low for result in (alone, both)]
    assert width[1] > 2 * width[0]
