"""The fast engine gives the numbers of whole texts, for every family, site, form and choice of positions."""

import itertools
import logging
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import D_VOCAB, FAMILIES, build_hf, random_intervention
from numpy.testing import assert_allclose
from test_losses import plain_loss

import mechsteer as ms
from mechsteer.engine import Fast, Plain, batches_of_pairs, engine_for
from mechsteer.engine.rows import n_tokens
from mechsteer.engine.vocabulary import Unembedding
from mechsteer.measuring.sweeping import sweep_encoded
from mechsteer.models.prompts import EncodedPair
from mechsteer.models.survey import all_sites

GRID = np.array([-0.5, 0.0, 0.7])


def encoded_pairs(n: int = 5, seed: int = 0, longest: int = 20) -> list[EncodedPair]:
    """Random pairs of many lengths; some completions begin alike, some answer different queries, and some texts outgrow a
    sliding window of 8."""
    draw = np.random.default_rng(seed)

    def tokens(n_tokens: int) -> list[int]:
        return draw.integers(3, D_VOCAB, n_tokens).tolist()

    pairs = []
    for index in range(n):
        query = [1, *tokens(int(draw.integers(2, longest // 2)))]
        firsts = draw.choice(np.arange(3, D_VOCAB), 2, replace=False).tolist()
        start = tokens(int(draw.integers(0, 4)))
        texts = [(*query, *start, first, *tokens(int(draw.integers(1, longest // 3)))) for first in firsts]
        pairs.append(EncodedPair(str(index), len(query), *texts))
        if index % 3 == 2:
            other = [1, (query[1] + 1) % D_VOCAB, *tokens(int(draw.integers(0, 4)))]
            pairs[-1] = replace(pairs[-1], negative=(*other, *tokens(5)), negative_begin=len(other))
    return pairs


PAIRS = encoded_pairs()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sweep_equals_the_plain_one_at_every_site(tiny, family):
    """In the second layer of three and at two places of the last. Forms and positions take turns, and each family begins with
    others."""
    model = tiny(family)
    turns = itertools.cycle(
        itertools.product(["vector", "lora", "local_weight"], ["all", "completion", "query", "every"])
    )
    turns = itertools.islice(turns, FAMILIES.index(family), None)
    sites = [site for site in all_sites(model) if site.layer == 1]
    for site in [*sites, ms.Site(2, "mlp.out"), ms.Site(2, "resid_post")]:
        form, positions = next(turns)
        steer = random_intervention(form, site, model)
        fast = engine_for(model, steer, PAIRS)
        assert isinstance(fast, Fast), site
        losses, shift = Plain(model).sweep(steer, PAIRS, GRID, positions)
        # Room for one multiplier in a forward, and for all of them.
        for batch_tokens in (1, 10_000) if positions == "completion" else (10_000,):
            found, found_shift = fast.sweep(steer, PAIRS, GRID, positions, batch_tokens=batch_tokens)
            assert_allclose(found, losses, atol=1e-4, err_msg=f"{site} {positions}")
            assert_allclose(found_shift, shift, rtol=1e-4, err_msg=f"{site} {positions}")


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_activations_are_those_of_whole_texts_at_every_token(tiny, family):
    """At the steer's own site and at later ones, in texts that begin alike and where they have parted."""
    model = tiny(family)
    tokens = np.array(
        [
            (index, text, position)
            for index, pair in enumerate(PAIRS)
            for text, ids in enumerate((pair.positive, pair.negative))
            for position in range(len(ids))
        ]
    )
    tokens = np.random.default_rng(0).permutation(tokens)
    forms, positions = (
        itertools.cycle(["vector", "lora", "local_weight"]),
        itertools.cycle(["every", "completion", "query"]),
    )
    for site in [site for site in all_sites(model) if site.layer == 1]:
        steer, sites = (
            random_intervention(next(forms), site, model),
            [site, ms.Site(2, "mlp.out"), ms.Site(2, "resid_post")],
        )
        steered = next(positions)
        expected = Plain(model).activations(steer, PAIRS, GRID, steered, sites, tokens)
        found = engine_for(model, steer, PAIRS).activations(steer, PAIRS, GRID, steered, sites, tokens)
        for place, one, other in zip(sites, found, expected, strict=True):
            assert one.shape == (len(GRID), len(tokens), place.widths(model)[1])
            assert_allclose(one, other, atol=1e-5 * np.abs(other).max(), err_msg=f"{site} {place} {steered}")
        assert np.abs(found[0][2] - found[0][1]).max() > 0


@pytest.mark.parametrize("positions", ["all", "completion", "query"])
@pytest.mark.parametrize("family", ["llama", "gemma2", "opt"])
def test_completions_of_one_token_are_measured_too(tiny, family, positions):
    """Then nothing is predicted from a completion, and steering completions only changes nothing."""
    model, site = tiny(family), ms.Site(1, "mlp.out")
    steer = random_intervention("vector", site, model)
    pairs = [EncodedPair("yes or no", 3, (1, 5, 6, 7), (1, 5, 6, 8)), EncodedPair("longer", 2, (1, 9, 7), (1, 9, 8))]
    expected, shift = Plain(model).sweep(steer, pairs, GRID, positions)
    done = []
    losses, found_shift = engine_for(model, steer, PAIRS).sweep(
        steer, pairs, GRID, positions, advance=lambda: done.append(1)
    )
    assert len(done) == len(GRID)
    assert_allclose(losses, expected, atol=1e-4)
    assert_allclose(found_shift, shift, rtol=1e-4)
    assert (np.ptp(losses, axis=0).max() < 1e-5) == (positions == "completion")


@pytest.mark.parametrize("family", FAMILIES)
def test_unsteered_losses_equal_plain_hugging_face_one_text_at_a_time(tiny, family):
    model, hf = tiny(family), build_hf(family)
    site = ms.Site(1, "mlp.out")
    steer = random_intervention("vector", site, model)
    losses, _ = engine_for(model, steer, PAIRS).sweep(steer, PAIRS, np.zeros(1), "all")
    for index, pair in enumerate(PAIRS):
        expected = [plain_loss(hf, list(text), begin) for text, begin in zip(pair.texts, pair.begins, strict=True)]
        assert_allclose(losses[0, :, index], expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("positions", ["all", "completion"])
@pytest.mark.parametrize("family", FAMILIES)
def test_in_bfloat16_it_is_as_far_from_float32_as_the_plain_one(tiny, family, positions):
    """Both round; neither may lose more than the other by much."""
    site, exact = ms.Site(1, "mlp.out"), tiny(family)
    rounded = ms.load_model(build_hf(family, dtype=torch.bfloat16), device="cpu")
    steer, pairs = random_intervention("vector", site, exact), encoded_pairs(20)
    truth, _ = Plain(exact).sweep(steer, pairs, GRID, positions)
    fast = engine_for(rounded, steer, pairs)
    assert isinstance(fast, Fast)
    errors = [
        np.abs(engine.sweep(steer, pairs, GRID, positions)[0] - truth).mean() for engine in (fast, Plain(rounded))
    ]
    assert errors[0] < 1.25 * errors[1]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_float64(tiny, family):
    """To 1e-5 of their size; taking a direction out divides by the delta's size, which is near zero at some tokens."""
    model, exact = tiny(family), ms.load_model(build_hf(family, dtype=torch.float64), device="cpu")
    multipliers = torch.tensor([0.5, -0.7, 0.3, -0.2, 1.0])
    sites = [*(site for site in all_sites(model) if site.layer == 1), ms.Site(2, "mlp.out")]
    # They take turns, and every second family begins with the other.
    turns = itertools.islice(itertools.cycle((ms.SFT(), ms.RePS())), FAMILIES.index(family) % 2, None)
    for site, objective in zip(sites, turns, strict=False):
        form = {"mlp.out": "local_weight", "mlp.bypass": "local_weight", "attn.o": "lora"}.get(site.place, "vector")
        start = random_intervention(form, site, model)
        start = replace(start, rule=objective.learning_rule(start.rule, form))
        gradients = []
        # One pair at a time in float64: there, Hugging Face turns a padded row that a window hides into NaN.
        for engine, groups in (
            (Plain(exact), [[i] for i in range(5)]),
            (engine_for(model, start, PAIRS), [list(range(5))]),
        ):
            dtype = engine.model.dtype
            free = {name: value.to(dtype, copy=True).requires_grad_() for name, value in start.parameters.items()}
            for some in groups:
                pairs = [PAIRS[index] for index in some]
                with engine.losses(
                    start.with_parameters(free), pairs, multipliers[some], "all",
                    prefixes=engine.prefixes(pairs, site),
                ) as losses:  # fmt: skip
                    (losses * torch.tensor([[1.0], [-0.6]])).sum().backward()
            gradients.append(torch.cat([value.grad.flatten().double() for value in free.values()]))
        truth, found = gradients
        assert (found - truth).norm() <= (1e-4 if objective.name == "RePS" else 1e-5) * truth.norm(), (site, objective)


def test_what_is_remembered_for_training_shrinks_where_it_would_not_fit(tiny, monkeypatch):
    from mechsteer.engine import fast

    model, site = tiny("llama"), ms.Site(1, "mlp.out")
    steer = random_intervention("lora", site, model)
    engine = engine_for(model, steer, PAIRS)
    found = []
    for limit in (2**30, 0):
        monkeypatch.setattr(fast, "PREFIX_BYTES", limit)
        prefixes = engine.prefixes(PAIRS, site)
        with torch.no_grad(), engine.losses(steer, PAIRS, torch.ones(5), "all", prefixes=prefixes) as losses:
            found.append((sum(prefix.n_bytes for prefix in prefixes), losses.numpy()))
    (large, losses), (small, again) = found
    assert small < large / 3
    assert_allclose(losses, again, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 7, 10_000])
def test_states_that_wait_for_others_give_their_losses_in_order(tiny, monkeypatch, rows):
    from mechsteer.engine import vocabulary

    monkeypatch.setattr(vocabulary, "ROWS", rows)
    model, site = tiny("llama"), ms.Site(1, "mlp.out")
    steer, grid = random_intervention("vector", site, model), np.linspace(-1, 1, 7)
    expected, _ = Plain(model).sweep(steer, PAIRS, grid, "all")
    # Room for three multipliers: seven come as three, two and two.
    losses, _ = engine_for(model, steer, PAIRS).sweep(steer, PAIRS, grid, "all", batch_tokens=3 * 5 * 20)
    assert_allclose(losses, expected, atol=1e-4)


def test_an_infinite_shift_leaves_the_base_model_as_it_is(tiny):
    model, site = tiny("llama"), ms.Site(1, "mlp.out")
    steer = ms.SteeringVector(site, torch.full((model.d_model,), torch.inf))
    losses, shift = engine_for(model, steer, PAIRS).sweep(steer, PAIRS, GRID, "all")
    base, _ = engine_for(model, steer, PAIRS).sweep(
        random_intervention("vector", site, model), PAIRS, np.zeros(1), "all"
    )
    assert_allclose(losses[1], base[0], atol=1e-5)
    assert np.isnan(losses[[0, 2]]).all()
    assert (shift[..., 1, :] == 0).all() and (shift[..., [0, 2], :] > 1e38).all()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's memory")
def test_what_a_forward_gives_back_the_next_one_takes():
    """A process of its own, so that nothing else has told glibc what to do."""
    code = """
import resource, torch
from mechsteer.engine.memory import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        first, second = torch.ones(3_000_000), torch.ones(3_000_000)
        del first, second
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = faults()
keep_freed_memory()
faults()
print(before, faults())
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    before, after = map(int, run.stdout.split())
    assert after < before / 10, run.stdout


def test_losses_in_pieces_of_the_vocabulary_equal_those_in_float64(monkeypatch):
    from mechsteer.engine import vocabulary

    monkeypatch.setattr(vocabulary, "CHUNK", 100)
    monkeypatch.setattr(vocabulary, "ROWS", 7)
    torch.manual_seed(0)
    for softcap, bias in ((None, None), (3.0, None), (None, torch.randn(1030))):
        weight, states = torch.randn(1030, 32), torch.randn(20, 32, requires_grad=True)
        targets = torch.randint(1030, (20,))
        losses = Unembedding(weight, bias, softcap).losses(states, targets)
        (losses * torch.arange(20)).sum().backward()
        exact = states.detach().double().requires_grad_()
        logits = exact @ weight.double().T + (0 if bias is None else bias.double())
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        expected = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        (expected * torch.arange(20)).sum().backward()
        assert_allclose(losses.detach(), expected.detach(), atol=1e-5)
        assert states.grad is not None and exact.grad is not None
        assert (states.grad - exact.grad).norm() <= 1e-5 * exact.grad.norm()


def test_gemma_2_soft_caps_and_windows_are_at_work_in_these_tests(tiny):
    """Otherwise their agreement would show nothing."""
    config = tiny("gemma2").hf.config
    assert config.final_logit_softcapping and config.attn_logit_softcapping and config.sliding_window == 8
    assert len(set(config.layer_types)) == 2
    assert max(len(pair.positive) for pair in PAIRS) > 8


def test_somebody_elses_hook_fires_as_on_whole_texts_and_the_log_says_so_once(caplog):
    model = ms.load_model(build_hf("llama"), device="cpu")
    site = ms.Site(1, "mlp.out")
    steer = random_intervention("vector", site, model)
    seen = []
    with caplog.at_level(logging.WARNING), model.hooks([("blocks.0.hook_out", lambda t, hook: seen.append(t.shape))]):
        for _ in range(2):
            engine = engine_for(model, steer, PAIRS)
            assert isinstance(engine, Plain)
        engine.sweep(steer, PAIRS, GRID, "all")
    assert (
        seen == [(2 * len(PAIRS), max(len(text) for pair in PAIRS for text in (pair.positive, pair.negative)), 32)] * 3
    )
    assert len(caplog.records) == 1 and "somebody else's hooks" in caplog.text
    assert isinstance(engine_for(model, steer, PAIRS), Fast)


def test_a_model_that_scales_its_branches_and_logits_is_measured_fast():
    """Its bridge sets hooks of its own at the first forward, which are nobody else's."""
    from transformers import GraniteConfig, GraniteForCausalLM

    def granite() -> GraniteForCausalLM:
        torch.manual_seed(0)
        config = GraniteConfig(
            vocab_size=D_VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=48, logits_scaling=0.25, residual_multiplier=0.22, initializer_range=0.2,
        )  # fmt: skip
        return GraniteForCausalLM(config).eval()

    model, site = ms.load_model(granite(), device="cpu"), ms.Site(0, "mlp.out")
    for _ in range(2):
        assert isinstance(engine_for(model, random_intervention("vector", site, model), PAIRS), Fast)
        sweep = sweep_encoded(model, random_intervention("vector", site, model), PAIRS, [0.0])
        expected = [plain_loss(granite(), list(pair.positive), pair.begin) for pair in PAIRS]
        assert_allclose(sweep.loss_positive[0], expected, atol=1e-4)


def test_batches_hold_about_so_many_tokens_and_every_pair_once():
    pairs = encoded_pairs(50)
    for batch_tokens in (1, 100, 1000):
        batches = list(batches_of_pairs(pairs, batch_tokens))
        assert sorted(index for batch in batches for index in batch) == list(range(50))
        for batch in batches:
            widest = max(n_tokens(pairs[i]) for i in batch)
            assert len(batch) == 1 or len(batch) * widest <= batch_tokens
