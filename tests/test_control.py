"""The gate: chance is what it says it is, a steer that works passes, and of one that does not nothing else is judged."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from scipy.stats import t as student
from worlds import chance as world
from worlds.chance import KEY

import mechsteer as ms
from analyses.claims import control
from analyses.claims.gate import gated
from analyses.claims.result import Result
from analyses.evidence import chance
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import labelled

SITE = ms.Site.of("3:resid_mid")


@pytest.fixture(scope="module")
def halves():
    return ms.load_pairs("guestbook/sentiment").sample(120, seed=1).split(0.5, seed=0)


@pytest.fixture(autouse=True)
def few_pairs(monkeypatch):
    """As many as a claim needs."""
    monkeypatch.setattr(chance, "N_PAIRS", 20)


def judged(model, steer, halves) -> Result:
    learning, testing = halves
    grid = ms.find_multipliers(model, steer, learning, n=9)
    sweep = ms.run_sweep(model, steer, testing[:24], grid, progress=False)
    table = chance.against_chance(model, steer, learning, testing, sweep)
    return control.run(labelled(table, KEY))


@pytest.mark.slow
def test_a_steer_that_works_passes_and_a_random_direction_does_not(guestbook, halves):
    steer = ms.diff_mean(guestbook, halves[0], SITE)
    (passes,) = judged(guestbook, steer, halves).claims
    assert passes.outcome is Outcome.SUPPORTED and passes.interval.low > 1
    drawn = torch.randn(len(steer.direction), generator=torch.Generator().manual_seed(1))
    (fails,) = judged(guestbook, replace(steer, direction=drawn * steer.direction.norm() / drawn.norm()), halves).claims
    assert fails.outcome is not Outcome.SUPPORTED and fails.estimate < 1


def test_the_interval_of_the_ratio_covers_it_and_chance_at_a_ratio_of_one_rarely_passes():
    """Normal directions whose spread is known, and a steer at twice, or just at, the end beyond which one in forty lies."""
    rng, missed, passed = np.random.default_rng(0), 0, 0
    for ratio in np.repeat([1.0, 2.0], 200):
        place = rng.standard_normal((chance.N_DIRECTIONS, 1))
        gained = np.concatenate([np.full((1, 1), ratio * norm.isf(0.025)), place]) + 0.5 * rng.standard_normal(
            (len(place) + 1, chance.N_PAIRS)
        )
        low, high = np.quantile(control._ratios(gained[:1], gained[1:]), [0.025, 0.975])
        missed += not low <= ratio <= high
        passed += ratio == 1 and low > 1
    # Of 400 and 200; more than these once in two hundred, where 5 and 2.5 % are meant.
    assert 8 <= missed <= 32 and passed <= 11


def test_a_steer_that_is_just_beyond_what_24_directions_gain_is_not_yet_beyond_chance():
    """Were the upper end known, as many pairs as one likes would pass it."""
    upper = student.isf(0.025, chance.N_DIRECTIONS - 1) * np.sqrt(1 + 1 / chance.N_DIRECTIONS)
    found = [control.run(world.chance(1.2 * upper, n_pairs=100, seed=seed)).claims[0] for seed in range(12)]
    assert sum(claim.outcome is Outcome.SUPPORTED for claim in found) < 6
    assert {claim.outcome for claim in found} <= {Outcome.SUPPORTED, Outcome.INCONCLUSIVE}
    far = [control.run(world.chance(3 * upper, seed=seed)).claims[0].outcome for seed in range(6)]
    assert set(far) == {Outcome.SUPPORTED}


def test_shuffled_labels_are_told_at_their_own_shift_and_at_none_where_it_was_not_kept():
    table = world.chance(6.0)
    table["gained"] *= np.where(table.kind == control.SHUFFLED, 3, 1)
    (told,) = control.run(table).claims
    compared = control.run(table).tables["chance"].set_index("kind")
    assert (compared.chance_shift[control.COVARIANCE] == compared.relative_shift[control.COVARIANCE]).all()
    shares = compared.chance_shift[control.SHUFFLED] / compared.relative_shift[control.SHUFFLED]
    assert np.allclose(shares, world.SHORTER + 0.023)
    assert (
        "shuffled labels, at their own length (a median shift of" in told.because and "same shift" not in told.because
    )
    steps = table.loc[table.kind == control.STEER].groupby("budget").relative_shift.first()
    (old,) = control.run(table.assign(relative_shift=table.budget.map(steps))).claims
    assert "at their own length, gain" in old.because and "median shift" not in old.because
    assert (old.estimate, old.interval, old.outcome) == (told.estimate, told.interval, told.outcome)


def test_rows_hold_the_shift_that_was_applied(guestbook, halves, monkeypatch):
    """A direction of shuffled labels is as long as it came, and a random one as the steer."""
    learning, testing = halves
    monkeypatch.setattr(chance, "N_DIRECTIONS", 3)
    steer = ms.diff_mean(guestbook, learning, SITE)
    sweep = ms.run_sweep(guestbook, steer, testing[:20], [-4, -2, -1, 0, 1, 2, 4], progress=False)
    table = chance.against_chance(guestbook, steer, learning, testing, sweep)
    shifts = table.groupby(["kind", "draw", "budget"]).relative_shift.first().unstack("budget")
    own = shifts.loc[control.STEER].iloc[0]
    rng = np.random.default_rng([0, 4])
    site, drawn = steer.sites[0], chance._directions(guestbook, learning, steer.sites[0], "raw", rng)
    assert site == SITE
    for kind, vectors in drawn.items():
        for draw, vector in enumerate(vectors):
            np.testing.assert_allclose(shifts.loc[kind, draw], own * float(vector.norm()), rtol=1e-4)


@pytest.mark.slow
def test_a_lora_is_set_against_chance_at_its_own_shifts(guestbook, halves):
    start = ms.LoRA.at(guestbook, SITE)
    trained = ms.train(guestbook, start, halves[0], "SFT", ms.TrainSettings(steps=60), progress=False).intervention
    result = judged(guestbook, trained, halves)
    assert result.claims[0].outcome is Outcome.SUPPORTED
    shifts = result.tables["chance"].relative_shift.unique()
    assert len(shifts) == len(chance.BUDGETS) and np.all(np.diff(shifts) > 0)


def test_interrupted_chance_goes_on_with_the_next_direction(guestbook, halves, tmp_path, monkeypatch):
    learning, testing = halves
    monkeypatch.setattr(chance, "N_DIRECTIONS", 2)
    steer, asked, gains = ms.diff_mean(guestbook, learning, SITE), [], chance._gains
    sweep = ms.run_sweep(guestbook, steer, testing[:20], [-4, -2, -1, 0, 1, 2, 4], progress=False)
    whole = chance.against_chance(guestbook, steer, learning, testing, sweep)

    def until_the_fourth(*given):
        asked.append(given)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return gains(*given)

    monkeypatch.setattr(chance, "_gains", until_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        chance.against_chance(guestbook, steer, learning, testing, sweep, parts=tmp_path)
    again = chance.against_chance(guestbook, steer, learning, testing, sweep, parts=tmp_path)
    pd.testing.assert_frame_equal(again, whole)
    assert len(asked) == 4 + 1 + 2, "the steer itself, and the two directions that were not measured yet"


def test_shuffled_labels_are_diff_mean_of_pairs_that_are_swapped(guestbook, halves):
    pairs = halves[0][:20]
    found = chance._directions(guestbook, pairs, SITE, "raw", np.random.default_rng(0))[control.SHUFFLED][0]
    rng = np.random.default_rng(0)
    n_tokens = sum(len(some.pair) for some in ms.read_activations(guestbook, ms.encode_pairs(guestbook, pairs), [SITE]))
    rng.standard_normal((chance.N_DIRECTIONS, n_tokens))
    swapped = rng.integers(2, size=(chance.N_DIRECTIONS, len(pairs))).astype(bool)[0]
    turned = [
        replace(pair, positive=pair.negative, negative=pair.positive) if swap else pair
        for pair, swap in zip(pairs, swapped, strict=True)
    ]
    expected = ms.diff_mean(guestbook, ms.Pairs(tuple(turned), "turned"), SITE).direction
    expected = expected / ms.diff_mean(guestbook, pairs, SITE).direction.norm()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_directions_vary_as_the_activations_do(guestbook, halves):
    drawn = chance._directions(guestbook, halves[0], SITE, "raw", np.random.default_rng(0))[control.COVARIANCE]
    h = np.concatenate(
        [
            some.at[SITE].numpy()
            for some in ms.read_activations(guestbook, ms.encode_pairs(guestbook, halves[0]), [SITE])
        ]
    )
    variances, axes = np.linalg.eigh(np.cov(h.T))
    shares = np.mean([(vector.numpy() @ axes) ** 2 for vector in drawn], axis=0)
    assert len(drawn) == chance.N_DIRECTIONS and all(abs(float(v.norm()) - 1) < 1e-5 for v in drawn)
    # The leading directions hold of the drawn ones what they hold of the variance.
    leading = slice(-5, None)
    assert shares[leading].sum() == pytest.approx(variances[leading].sum() / variances.sum(), abs=0.15)


def claim(name: str, outcome: Outcome, key=KEY, is_check: bool = False) -> Claim:
    return Claim(
        name,
        "",
        key,
        1.0,
        "nats",
        ms.ConfidenceInterval(0.5, 1.5),
        "luck",
        outcome,
        "So it is.",
        0.01,
        is_check=is_check,
    )


@pytest.mark.parametrize("outcome", Outcome)
def test_of_a_steer_that_does_not_pass_nothing_else_is_judged(outcome):
    other = replace(KEY, method="SFT")
    given = [
        claim("control", outcome), claim("linear_region", Outcome.SUPPORTED),
        claim("one_operation", Outcome.SUPPORTED, is_check=True), claim("linear_region", Outcome.REFUTED, other),
    ]  # fmt: skip
    found = gated(given, {"control"})
    assert [one for one in found if one.claim == "control"] == given[:1] and found[2:] == given[2:]
    if outcome is Outcome.SUPPORTED:
        assert found == given
    else:
        assert found[1].outcome is Outcome.INCONCLUSIVE and np.isnan(found[1].p_value) and "control" in found[1].because
