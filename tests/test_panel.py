"""The panel: directions are what their families say, all are equally long, and what is measured of them is right."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import MORE_FAMILIES
from worlds.panel import candidates, panel

import mechsteer as ms
from analyses.claims import causes, settles
from analyses.evidence import panel as evidence
from analyses.evidence.coherence import Coherence, _repetition
from analyses.evidence.directions import families
from analyses.studies.tables import COLUMNS_OF
from mechsteer import guestbook as house
from mechsteer.manifolds.metrics import NORMED, RAW, WHITENED, metrics
from mechsteer.models.prompts import encode_prompt
from mechsteer.statistics.judging import Outcome
from mechsteer.store.tables import read_table


@pytest.fixture(scope="module")
def measured(guestbook) -> pd.DataFrame:
    learning, testing = house.pairs("sentiment", 80).split(0.5, seed=0)
    others = [house.pairs("tense", 30)]
    return evidence.measure(
        guestbook, ms.Site.of("1:attn.o"), learning, testing, others, concept="sentiment", n_directions=8
    )


def test_directions_are_of_their_families():
    rng = np.random.default_rng(0)
    scales = np.array([9.0, 5.0, 3.0, *np.full(12, 1.0), 0.01])
    h = (rng.standard_normal((600, 16)) * scales + 2).astype(np.float32)
    pair, is_positive = np.repeat(np.arange(60), 10), np.tile(np.repeat([True, False], 5), 60)
    found = dict(families(h, pair, is_positive, [np.eye(16)[3]], 8, rng))
    assert all(np.allclose(np.linalg.norm(vectors, axis=1), 1) for vectors in found.values())
    variance = {
        name: np.mean([(vector * scales) @ (vector * scales) for vector in vectors]) for name, vectors in found.items()
    }
    assert (
        variance["least variance"] < variance["isotropic"] < min(variance["covariance"], variance["leading components"])
    )
    np.testing.assert_allclose(found["other concepts"], [np.eye(16)[3], -np.eye(16)[3]])
    steer = h[is_positive].mean(axis=0) - h[~is_positive].mean(axis=0)
    np.testing.assert_allclose(found["steer"][0], steer / np.linalg.norm(steer), atol=1e-5)
    # A difference of real tokens points from one to another: nothing is left of theirs beside it.
    differences = (h[:, None] - h[None]).reshape(-1, 16)
    for vector in found["real tokens"]:
        beside = np.linalg.norm(differences - np.outer(differences @ vector, vector), axis=1)
        assert np.min(beside[np.abs(differences @ vector) > 1]) < 1e-3


@pytest.mark.slow
def test_all_are_equally_long_and_the_median_one_loses_the_budgets(measured):
    assert measured.groupby("direction").length.apply(tuple).nunique() == 1
    lost = measured.groupby("budget").lost.median()
    assert lost.index.tolist() == list(evidence.BUDGETS) and (np.diff(lost) > 0).all()
    assert 0.05 < lost[0.5] < 1.5


@pytest.mark.parametrize("power", [1.6, 2.0, 2.7])
@pytest.mark.parametrize("cost", [1e4, 400.0, 5.0])
def test_lengths_cost_what_they_are_named_by_however_sharply_loss_grows(guestbook, power, cost, monkeypatch):
    """A median direction that loses `cost` nats at its activations' norm: the first trial may lose hundreds, or nearly none."""
    site, encoded = ms.Site.of("1:resid_mid"), ms.encode_pairs(guestbook, house.pairs("sentiment", 3))
    pace = torch.tensor([0.5, 0.8, 1.0, 1.3, 4.0])

    def lengths_of(paces: torch.Tensor) -> np.ndarray:
        steers = [ms.SteeringVector(site, of[None]) for of in paces]
        return evidence._lengths(guestbook, encoded, steers, 30.0).length.to_numpy()

    def sweep_encoded(model, steer, pairs, grid):
        lost = float(steer.direction) * cost * (np.array(grid) / 30) ** power
        return SimpleNamespace(lost=np.repeat(lost[:, None], len(pairs), axis=1))

    monkeypatch.setattr(evidence, "sweep_encoded", sweep_encoded)
    found = lengths_of(pace)
    np.testing.assert_allclose(cost * (found[2:] / 30) ** power, evidence.BUDGETS, rtol=0.2)
    np.testing.assert_allclose(found[:2] / found[2], evidence.SHORTER)
    assert (lengths_of(0 * pace)[2:] == 30 * evidence.LOOKED_AT[-1]).all(), (
        "what never costs a budget is tried at the longest length"
    )


def test_what_is_lost_and_how_the_output_diverges_is_what_the_model_says(guestbook, measured):
    """By hand, of one direction: a hook of PyTorch's own at the attention's output, where resid_mid is shifted."""
    learning, testing = house.pairs("sentiment", 80).split(0.5, seed=0)
    h, pair, is_positive = evidence._activations(guestbook, learning, ms.Site.of("1:resid_mid"), "raw")
    others = [ms.diff_mean(guestbook, house.pairs("tense", 30), "1:resid_mid").direction.double().numpy()]
    drawn = [v for _, some in families(h, pair, is_positive, others, 1, np.random.default_rng([0, 6])) for v in some]
    rows = measured.loc[measured.direction == 4]
    shift = torch.from_numpy(drawn[4]).float() * rows.length.iloc[-1]
    texts = [str(text) for text in house.sample(12, 0)]
    tokenizer = guestbook.tokenizer
    lost, divergence = [], []
    block = guestbook.hf.model.layers[1].self_attn
    for text in texts:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            before = guestbook.hf(ids).logits[0].double().log_softmax(-1)
            steered = torch.ones(ids.shape[1], 1)
            steered[0] = 0  # BOS is left alone
            handle = block.register_forward_hook(lambda m, i, out, s=steered: (out[0] + s * shift, *out[1:]))
            after = guestbook.hf(ids).logits[0].double().log_softmax(-1)
            handle.remove()
        of_token = [(-p[:-1].gather(1, ids[0, 1:, None])).mean() for p in (before, after)]
        lost.append(float(of_token[1] - of_token[0]))
        divergence.append((before.exp() * (before - after)).sum(-1)[:-1])
    assert rows.neutral_lost.iloc[-1] == pytest.approx(np.mean(lost), abs=2e-4)
    assert rows.divergence.iloc[-1] == pytest.approx(float(torch.cat(divergence).mean()), rel=1e-3, abs=1e-5)


def test_the_fisher_form_is_the_divergence_of_short_shifts(guestbook, measured):
    outcome = Coherence.of(guestbook, ["what about the soup ?"] * 2, "raw", "sentiment", 0)
    steer = ms.SteeringVector(ms.Site.of("1:resid_mid"), torch.eye(128)[3])
    form = outcome.of_steer(steer, np.array([20.0, 40.0]))["fisher"]
    assert form[1] == pytest.approx(4 * form[0])
    assert outcome._neutral_under(steer, 2.0)[1] == pytest.approx(form[0] / 100, rel=0.1)
    assert measured.fisher.corr(measured.divergence, method="spearman") > 0.5


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3", *MORE_FAMILIES])
def test_the_next_norm_is_the_one_that_reads(tiny, family):
    model = tiny(family)
    read = evidence.reader(model, ms.Site.of("0:resid_post"))
    if family == "olmo2":
        assert read is None  # it norms what its branches give
        return
    seen = {}
    inner = dict(model.hf.named_modules())
    norm = next(m for n, m in inner.items() if n.rpartition(".")[2] in ("input_layernorm", "ln_1") and ".1." in n)
    handle = norm.register_forward_hook(lambda m, i, out: seen.update(given=i[0], got=out))
    with torch.no_grad():
        model.hf(torch.tensor([[1, 5, 9, 11]]))
    handle.remove()
    np.testing.assert_allclose(read(seen["given"][0].numpy()), seen["got"][0].numpy(), atol=1e-5)


def test_metrics_see_what_they_say():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((4000, 3)) * [3, 1, 0.5]
    found = metrics(points, lambda h: h / np.linalg.norm(h, axis=1, keepdims=True))
    assert list(found) == [RAW, WHITENED, NORMED]
    np.testing.assert_allclose(np.std(found[WHITENED](points), axis=0), 1, rtol=0.1)
    assert list(metrics(points, None)) == [RAW, WHITENED]


@pytest.mark.slow
def test_coherence_without_a_steer_is_the_usual(guestbook):
    queries = [pair.query for pair in house.pairs("sentiment", 12)]
    nothing = ms.SteeringVector(ms.Site.of("1:resid_mid"), torch.zeros(128))
    for concept in ("sentiment", ""):
        outcome = Coherence.of(guestbook, queries, "raw", concept, 0)
        found = outcome.of_steer(nothing, np.array([1.0, 2.0]))
        assert np.abs(found["incoherence"]).max() < (0.35 if concept else 0.6)
        np.testing.assert_allclose(found["neutral_lost"], 0, atol=1e-9)
        np.testing.assert_allclose(found["divergence"], 0, atol=1e-9)
    assert outcome.unit == "nats per token"


def test_texts_are_judged_by_their_loss_per_token_in_the_unsteered_model(guestbook):
    pairs = list(house.pairs("sentiment", 7))
    queries, texts = [pair.query for pair in pairs], [pair.positive.strip() for pair in pairs]
    texts[3] = texts[3].partition(" ")[0]
    found = Coherence.of(guestbook, queries, "raw", "", 0)._judged(texts, queries)
    for query, text, loss in zip(queries, texts, found, strict=True):
        begun = encode_prompt(guestbook, query, "raw")
        ids = [*begun, *guestbook.tokenizer(text, add_special_tokens=False)["input_ids"]]
        with torch.no_grad():
            likely = guestbook.hf(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        plain = -np.mean([float(likely[at - 1, ids[at]]) for at in range(len(begun), len(ids))])
        assert loss == pytest.approx(plain, abs=1e-5)


def test_repetition_is_the_share_of_runs_that_have_stood_before():
    assert _repetition(list("abcd")) == 0 == _repetition(list("ab"))
    assert _repetition(list("abababab")) == pytest.approx(3 / 5)


@pytest.mark.slow
def test_an_interrupted_panel_goes_on_with_the_next_direction(guestbook, measured, tmp_path, monkeypatch):
    learning, testing = house.pairs("sentiment", 80).split(0.5, seed=0)
    asked, of_steer = [], Coherence.of_steer

    def until_the_fifth(self, *given):
        asked.append(given)
        if len(asked) == 5:
            raise KeyboardInterrupt
        return of_steer(self, *given)

    def again() -> pd.DataFrame:
        return evidence.measure(
            guestbook, ms.Site.of("1:attn.o"), learning, testing, [house.pairs("tense", 30)], concept="sentiment",
            n_directions=8, parts=tmp_path,
        )  # fmt: skip

    monkeypatch.setattr(Coherence, "of_steer", until_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        again()
    pd.testing.assert_frame_equal(again(), measured)
    assert len(asked) == 1 + measured.direction.nunique()


def test_candidates_are_confirmed_on_other_pairs(measured):
    named = measured.loc[measured[list(evidence.CANDIDATES)].any(axis=1)]
    assert named["harmless displacement"].sum() == 1
    assert named.confirmed_lost.notna().all() and (named.n_pairs == 20).all() and (named.n_answers > 10).all()


def test_a_study_reads_back_what_it_writes_of_a_panel(measured, tmp_path):
    path = tmp_path / "panel.parquet"
    measured.to_parquet(path)
    assert len(read_table(path, COLUMNS_OF["evidence/panel"])) == len(measured)


def test_a_panel_that_says_too_little_decides_nothing():
    few = panel(n_pairs=2)
    assert causes.run(few).claims[0].outcome is Outcome.INCONCLUSIVE
    some = causes.run(panel().groupby("budget").sample(20, random_state=0))
    assert (
        some.claims[0].outcome is Outcome.INCONCLUSIVE and "has 20 directions; 40 are needed" in some.claims[0].because
    )
    assert (
        some.claims[0].interval.low < some.claims[0].estimate < some.claims[0].interval.high
        and some.tables["predictors"].size
    )
    same = panel().assign(incoherence=0.0)
    assert "hardly differs" in causes.run(same).claims[0].because
    none = candidates().assign(**dict.fromkeys(evidence.CANDIDATES, False))
    assert {claim.outcome for claim in settles.run(none).claims} == {Outcome.INCONCLUSIVE}


def test_what_would_settle_it_is_rarely_refuted_where_the_truth_is_on_every_bound(monkeypatch):
    """Three things are asked, and each may fail by luck: of draws that are judged by themselves, one in seven fails."""
    monkeypatch.setattr(settles, "if_powerful", lambda found, claim, **_: claim)
    monkeypatch.setattr(settles, "_power", lambda *_: None)
    on_bounds, true, false = (
        [claim for seed in range(n) for claim in settles.run(candidates(*world, seed=seed, **more)).claims]
        for n, world, more in (
            (300, (0.1,), {"harm": 0.1, "gained": 1.0}), (20, (0.0,), {"n_pairs": 300}), (20, (0.3,), {}),
        )
    )  # fmt: skip
    refuted = [claim.outcome is Outcome.REFUTED for claim in on_bounds]
    assert np.mean(refuted) < 0.05
    assert np.mean([claim.outcome is Outcome.SUPPORTED for claim in true]) > 0.8
    assert np.mean([claim.outcome is Outcome.REFUTED for claim in false]) > 0.8
    for claim in (*on_bounds, *true, *false):
        assert (claim.p_value <= 0.05) == (claim.outcome is not Outcome.INCONCLUSIVE)
        assert claim.interval.level == 0.95


def in_nats(harm: np.ndarray, error: float, distance: np.ndarray, seed: int = 0) -> pd.DataFrame:
    """A panel of an older study: the size of a mean departure with its standard error, and no halves of the texts."""
    table = (
        panel(n_pairs=-(-len(harm) // 9), seed=seed).head(len(harm)).drop(columns=["incoherence 0", "incoherence 1"])
    )
    rng = np.random.default_rng([seed, 1])
    names = [name for name in table if name.startswith("neighbours")]
    table = table.assign(**{name: distance + 0.05 * rng.standard_normal(len(harm)) for name in names})
    measured = np.abs(harm + error * rng.standard_normal(len(harm)))
    form = np.exp(rng.standard_normal(len(harm)))
    return table.assign(
        incoherence=measured, incoherence_error=error, harm_unit="nats per token", fisher=form, divergence=form
    )


def test_a_mechanism_that_the_panel_s_error_hides_is_not_refuted_and_more_directions_are_not_asked_for():
    """205 directions whose harm is 0.03 of their distance, exactly, and as much error as a mean over sixteen texts has."""
    for seed in range(6):
        distance = np.random.default_rng(seed).gamma(4, size=205)
        (claim,) = causes.run(in_nats(0.03 * distance, 0.2, distance, seed)).claims
        assert claim.outcome is Outcome.INCONCLUSIVE and np.isnan(claim.p_value)
        assert claim.because.startswith("Incoherence has a reliability of 0.") and "more texts" in claim.because.lower()
        assert claim.because.startswith(causes.GATES), "so that nobody is told how many directions it would take"


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.0, 0.06])
def test_where_harm_is_precise_a_mechanism_is_found_and_its_absence_refutes(effect):
    expected, found = Outcome.SUPPORTED if effect else Outcome.REFUTED, []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        distance = rng.gamma(4, size=300)
        harm = 0.3 + effect * distance + 0.1 * rng.standard_normal(300)
        (claim,) = causes.run(in_nats(harm, 0.01, distance, seed)).claims
        assert "would be measured as 0.30" in claim.because or "would be measured as 0.29" in claim.because
        found.append(claim.outcome)
    assert found.count(expected) >= 4 and set(found) <= {expected, Outcome.INCONCLUSIVE}


@pytest.mark.parametrize("n_answers", [4, 16, 32])
def test_the_reliability_of_harm_is_what_the_measured_ranks_owe_to_the_true_ones(n_answers):
    """Of two halves of the answers, and of standard errors alone; the true harm is what pairs lose."""
    found, true = [], []
    for seed in range(8):
        table = panel(n_answers=n_answers, seed=seed)
        old = table.drop(columns=["incoherence 0", "incoherence 1"])
        found.append([causes._of_harm(table), causes._of_harm(old)])
        true.append(causes._plain(table.incoherence, table.lost) ** 2)
    np.testing.assert_allclose(np.mean(found, axis=0), np.mean(true), atol=0.07)
    unknown = causes.run(old.drop(columns="incoherence_error")).claims[0]
    assert unknown.outcome is Outcome.INCONCLUSIVE and unknown.because.startswith(causes.NO_ERROR)


def test_errors_hide_of_a_correlation_what_is_measured_with_them():
    """Given a third variable too, which is measured exactly and has no part in harm."""
    rng = np.random.default_rng(0)
    x, y, z = rng.multivariate_normal([0, 0, 0], [[1, 0.5, 0.6], [0.5, 1, 0.0], [0.6, 0.0, 1]], 400_000).T
    x_seen, y_seen = (some + np.sqrt(1 / r - 1) * rng.standard_normal(len(x)) for some, r in ((x, 0.9), (y, 0.6)))
    once = np.ones((1, len(x)), dtype=int)
    true, seen = ([float(r[0]) for r in causes._correlations(*some, z, once)] for some in ((x, y), (x_seen, y_seen)))
    kept = causes._noticeable(0.9, 0.6, float(np.corrcoef(x_seen, z)[0, 1]))
    np.testing.assert_allclose(np.divide(seen, true), np.array(kept) / causes.NOTICEABLE, rtol=0.03)


def test_planted_power_falls_with_the_error_of_harm():
    found = []
    for n_answers in (32, 6):
        table = panel(n_answers=n_answers, seed=3)
        drawn = causes._draws(table.family.to_numpy(), np.random.default_rng(0))[:201]
        tested = {m: causes._test(table, f"neighbours, {m}", drawn, causes._of_harm(table)) for m in (RAW,)}
        found.append(causes._power(table, tested, drawn).found)
    assert found[0] > found[1] + 0.1


def test_halves_of_the_texts_are_of_every_other_query(guestbook):
    queries = [pair.query for pair in house.pairs("sentiment", 12)]
    steer, lengths = ms.SteeringVector(ms.Site.of("1:resid_mid"), torch.eye(128)[3]), np.array([8.0, 16.0])
    for concept in ("sentiment", ""):
        outcome = Coherence.of(guestbook, queries, "raw", concept, 0)
        found, (texts, _) = outcome.of_steer(steer, lengths), outcome._departures(steer, lengths, 16)
        for half in (0, 1):
            mean = texts[:, half::2].mean(axis=1)
            np.testing.assert_allclose(found[f"incoherence {half}"], mean if concept else np.abs(mean))
        whole = texts.mean(axis=1)
        np.testing.assert_allclose(found["incoherence"], whole if concept else np.abs(whole))
