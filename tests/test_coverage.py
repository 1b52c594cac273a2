"""Coverage: losses of sampled completions by plain Hugging Face, and what is compared, by sweeps and by a closed form."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose
from worlds.completions import completions

import mechsteer as ms
from analyses.claims import coverage
from analyses.claims.coverage import PAIRS, SAMPLED, SECOND, changes
from analyses.evidence.coverage import N_EACH, SHARES, compared_at, measure, sample, sentence
from analyses.studies import subjects
from analyses.studies.settings import Settings
from mechsteer import guestbook as language
from mechsteer.measuring.useful import useful_range
from mechsteer.statistics.judging import Outcome

N = 24


@pytest.fixture(scope="module")
def steered(guestbook):
    """A vector, pairs and others, and their sweeps."""
    learning, testing = ms.load_pairs("guestbook/sentiment").split(0.5, seed=0)
    vector = ms.diff_mean(guestbook, learning[:60], "1:resid_post")
    grid = np.linspace(-16, 16, 33)
    both = testing[:N], testing[N : 2 * N]
    return vector, *both, *(ms.run_sweep(guestbook, vector, some, grid, progress=False) for some in both)


@pytest.fixture(scope="module")
def measured(guestbook, steered):
    vector, pairs, second, sweep, _ = steered
    return measure(guestbook, vector, pairs, sweep, second, concept="sentiment", seed=0)


def plain_loss(model: ms.Model, steer: ms.SteeringVector, m: float, ids: tuple[int, ...], begin: int) -> float:
    """By a hook of PyTorch's on the block."""

    def add(module, inputs, output):
        return output + m * steer.direction * (torch.arange(output.shape[1])[:, None] > 0)

    hook = model.hf.model.layers[1].register_forward_hook(add)
    try:
        with torch.no_grad():
            of_next = model.hf(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
    finally:
        hook.remove()
    return -float(of_next[torch.arange(begin - 1, len(ids) - 1), list(ids[begin:])].sum())


@pytest.mark.slow
def test_losses_of_sampled_completions_are_those_of_plain_hugging_face(guestbook, steered, measured):
    vector, pairs, *_ = steered
    rows = measured[measured.whose == SAMPLED]
    sampled = sample(guestbook, pairs, "raw", 0)
    assert len(sampled) == N * N_EACH and rows.completion.nunique() == len(sampled)
    for completion in (0, 1, N * N_EACH - 1):
        text = sampled[completion][0]
        for row in rows[rows.completion == completion].itertuples():
            expected = plain_loss(guestbook, vector, row.multiplier, text.positive, text.begin)
            assert row.loss == pytest.approx(expected, abs=2e-3), row


def test_their_side_is_what_the_checker_says_and_what_ends_is_whole(guestbook, steered, measured):
    _, pairs, *_ = steered
    tokenizer = guestbook.require_tokenizer()
    rows = measured[(measured.whose == SAMPLED) & (measured.multiplier == 0)]
    sampled = sample(guestbook, pairs, "raw", 0)
    answers = [tokenizer.decode(text.positive[text.begin :]) for text, _ in sampled]
    checks = [language.check(query, answer) for (_, query), answer in zip(sampled, answers, strict=True)]
    assert rows.side.tolist() == [np.sign(check.values["sentiment"]) for check in checks]
    assert rows.tokens.tolist() == [len(answer.split()) for answer in answers]
    assert np.mean([check.ended for check in checks]) > 0.95 and set(rows.side) >= {-1, 1}
    # As long as the model's answers are: to cut each at its own pair's length would take a fifth off.
    assert rows.tokens.mean() > 0.85 * np.mean(steered[3].tokens_positive)


def test_what_goes_on_beyond_all_pairs_is_cut_where_its_own_pair_ends(stories):
    pairs = ms.Pairs(
        (ms.PolarityPair("Once upon a time", " there was a happy girl", " there was a sad", "a"),
         ms.PolarityPair("The little dog", " was glad", " was sad", "b")), "two",
    )  # fmt: skip
    encoded = {pair.id: pair for pair in ms.encode_pairs(stories, pairs)}
    for text, _ in sample(stories, pairs, "raw", 0):
        own = encoded[text.id]
        assert len(text.positive) == max(len(own.positive), len(own.negative))
        assert text.positive[: text.begin] == own.positive[: own.begin]


def test_another_seed_samples_others(guestbook, steered):
    _, pairs, *_ = steered
    first, again, other = (sample(guestbook, pairs[:4], "raw", seed) for seed in (0, 0, 1))
    assert first == again != other


def test_the_multipliers_are_the_sweep_s_own_nearest_to_shares_of_the_useful_range(steered):
    _, _, _, sweep, _ = steered
    found = compared_at(sweep)
    assert 0 in found and set(found) <= set(sweep.multipliers)
    for end in useful_range(sweep):
        for share in SHARES:
            nearest = np.abs(sweep.multipliers - share * end).min()
            assert np.abs(found - share * end).min() == pytest.approx(nearest)


def test_what_is_compared_of_pairs_is_what_their_sweep_says(steered, measured):
    _, _, _, *sweeps = steered
    for whose, sweep in zip((PAIRS, SECOND), sweeps, strict=True):
        found = changes(measured[measured.whose == whose], whose)
        rows = np.isin(sweep.multipliers, compared_at(sweeps[0]))
        gained, lost = (values[rows] for values in (sweep.preference - sweep.preference[sweep.zero], sweep.lost))
        assert_allclose(found["preference"].of(sweep.pairs).values[0], gained, atol=1e-9)
        assert_allclose(found["utility"].of(sweep.pairs).values[0], lost, atol=1e-9)


def test_of_sampled_completions_it_is_the_mean_over_twos_of_either_side():
    """By hand: the first query has two completions for the concept and one against it, the second one alone."""
    at_zero, steered = [10.0, 12.0, 11.0, 9.0], [8.0, 13.0, 15.0, 10.0]
    rows = pd.DataFrame(
        {"pair": ["a", "a", "a", "b"] * 2, "completion": [0, 1, 2, 3] * 2, "side": [1, 1, -1, 1] * 2,
         "multiplier": [0.0] * 4 + [1.0] * 4, "loss": at_zero + steered}
    )  # fmt: skip
    found = {name: (some.queries, some.draws(0)[0, 1]) for name, some in changes(rows, SAMPLED).items()}
    likelier = [0.75 * np.exp(2) + 0.25 * np.exp(-4), 0.75 * np.exp(-1) + 0.25 * np.exp(-4)]
    assert found["loss"] == (["a", "b"], pytest.approx(1.0))
    assert found["preference"] == (["a"], pytest.approx((2 - 1) / 2 + 4))
    assert found["utility"] == (["a"], pytest.approx(-np.mean(np.log(likelier))))
    assert found["odds"] == (["a", "b"], pytest.approx(np.log(np.exp(2) + 2 * np.exp(-1)) + 4))


def estimates(table: pd.DataFrame) -> dict[str, float]:
    return {claim.part: claim.estimate for claim in coverage.run(table).claims}


@pytest.fixture
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(coverage, "N_RESAMPLES", 200)
    monkeypatch.setattr(coverage, "N_PLANTED_RESAMPLES", 60)


@pytest.mark.slow
@pytest.mark.usefixtures("fewer_resamples")
def test_a_set_that_is_harder_or_likelier_throughout_is_no_other():
    table = completions(n_pairs=60)
    harder = table.assign(loss=table.loss + 3.0 * (table.whose != PAIRS))
    assert estimates(harder) == pytest.approx(estimates(table), nan_ok=True)
    leaning = table.assign(loss=table.loss + 2.0 * ((table.whose == SECOND) & (table.side == 1)))
    part = "preference, second pairs"
    assert estimates(leaning)[part] == pytest.approx(estimates(table)[part])


@pytest.mark.usefixtures("fewer_resamples")
def test_without_a_checker_the_loss_of_a_completion_is_compared_and_it_is_said_why():
    table = completions(n_pairs=60, checked=False)
    found = {claim.part: claim for claim in coverage.run(table).claims}
    assert set(found) == {"loss, sampled", "preference, second pairs", "utility, second pairs"}
    assert "No checker" in found["loss, sampled"].because
    alone = table[table.whose != SECOND]
    assert list(estimates(alone)) == ["loss, sampled"]


@pytest.mark.usefixtures("fewer_resamples")
def test_a_sweep_that_ends_early_says_nothing_of_utility():
    table = completions(n_pairs=60)
    short = table[table.multiplier <= 8.0]
    found = {claim.part: claim for claim in coverage.run(short).claims}
    assert found["utility, second pairs"].outcome is Outcome.INCONCLUSIVE
    assert "Sweep further" in found["utility, second pairs"].because
    assert np.isfinite(found["preference, second pairs"].estimate)


def test_the_mass_is_that_of_both_completions(steered, measured):
    _, _, _, sweep, _ = steered
    table = coverage.run(measured).tables["mass"].set_index("multiplier")
    held = np.exp(-sweep.loss_positive) + np.exp(-sweep.loss_negative)
    median = pd.Series(np.median(np.log(held), axis=1), sweep.multipliers)
    assert_allclose(table["median"], median[table.index])
    assert f"{np.exp(median[0.0]):.2g} of the model's probability" in sentence(sweep)


def test_of_two_options_a_pair_holds_nearly_all(steered):
    _, _, _, sweep, _ = steered
    answers = np.full_like(sweep.loss_positive, np.log(2) + 0.01)
    assert " hold 0.99 of the model's probability" in sentence(
        replace(sweep, loss_positive=answers, loss_negative=answers)
    )


def test_second_pairs_of_a_guestbook_are_new_in_query_and_topic():
    for pairs in ("guestbook/tense", "guestbook-rich/praise"):
        settings = Settings(model=pairs.partition("/")[0], pairs=pairs)
        checked = subjects.checked_pairs(settings)
        (second,) = subjects.second_pairs(settings, checked)
        assert len(second) == subjects.N_SECOND and len(set(second)) == len(second)
        known = {pair.query for pair in (*checked.learning, *checked.testing)}
        assert not known & {pair.query for pair in second}
        assert not set(checked.learning.groups) & set(second.groups) and set(second.groups) <= set(
            checked.testing.groups
        )


def test_second_pairs_of_a_file_are_those_that_are_new(tmp_path):
    pairs = ms.load_pairs("guestbook/tense")
    first, second = (
        ms.save_pairs(some, tmp_path / name) for some, name in ((pairs[:60], "a.jsonl"), (pairs[40:90], "b.jsonl"))
    )
    settings = Settings(pairs=str(first), second_pairs=str(second))
    (found,) = subjects.second_pairs(settings, subjects.checked_pairs(settings))
    assert {pair.positive for pair in found} <= {pair.positive for pair in pairs[60:90]}
    settings = replace(settings, second_pairs=str(first))
    with pytest.raises(ms.InputError, match="measured already"):
        subjects.second_pairs(settings, subjects.checked_pairs(settings))
    assert subjects.second_pairs(replace(settings, second_pairs=None), subjects.checked_pairs(settings)) == ()
