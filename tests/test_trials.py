"""The engine that a trial chooses gives the numbers of texts read alone, also where something begins at a length."""

import logging

import numpy as np
import pytest
import torch
import transformers
from conftest import D_VOCAB, build_hf, random_intervention
from numpy.testing import assert_allclose
from test_losses import plain_loss

import mechsteer as ms
from mechsteer.engine import Fast, Plain, choice, engine_for, forward
from mechsteer.engine.rows import n_tokens
from mechsteer.engine.trial import random_pair
from mechsteer.measuring.sweeping import sweep_encoded
from mechsteer.models.prompts import EncodedPair
from mechsteer.models.survey import all_sites
from mechsteer.models.switches import passed

SIZES = dict(
    vocab_size=D_VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    intermediate_size=48, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)  # fmt: skip
SWITCH = 24
SITE = ms.Site(1, "mlp.out")


def moved(config: transformers.PretrainedConfig) -> transformers.PreTrainedModel:
    """A random model, the same at every call, whose attention says something."""
    torch.manual_seed(0)
    hf = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in hf.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return hf


def gpt_neo() -> transformers.PreTrainedModel:
    """Its local layers look through a window that nothing calls a sliding one."""
    return moved(
        transformers.GPTNeoConfig(
            vocab_size=D_VOCAB,
            hidden_size=32,
            num_layers=2,
            num_heads=4,
            attention_types=[[["global", "local"], 1]],
            window_size=SWITCH,
            intermediate_size=48,
            max_position_embeddings=128,
            bos_token_id=1,
            eos_token_id=2,
        )  # fmt: skip
    )


def long_rope() -> transformers.PreTrainedModel:
    """It turns by other factors in a batch whose longest text is longer than what it was first trained on."""
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    config = transformers.Phi3Config(
        **SIZES,
        original_max_position_embeddings=SWITCH,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "original_max_position_embeddings": SWITCH,
            **factors,
        },
    )
    return moved(config)


def pairs_of(model: ms.Model, *lengths: int) -> list[EncodedPair]:
    """Pairs whose texts have so many tokens; a row holds half as many again."""
    return [random_pair(model, n // 2 - 1, n // 2, n, n - 1) for n in lengths]


def assert_plain(model: ms.Model, hf: transformers.PreTrainedModel, pairs: list[EncodedPair]) -> None:
    """The sweep's losses at zero are those of plain Hugging Face, one text at a time."""
    sweep = sweep_encoded(model, random_intervention("vector", SITE, model), pairs, [0.0])
    for index, pair in enumerate(pairs):
        expected = [plain_loss(hf, list(ids), pair.begin) for ids in (pair.positive, pair.negative)]
        assert_allclose([sweep.loss_positive[0, index], sweep.loss_negative[0, index]], expected, atol=1e-4)


def test_rows_that_pass_a_window_before_their_texts_do_are_measured_as_whole_texts(caplog):
    """Each text is shorter than the window, and the row that holds both is longer; shorter rows are served fast."""
    model = ms.load_model(gpt_neo(), device="cpu")
    short, long = pairs_of(model, 12), pairs_of(model, 20, 10)
    assert n_tokens(short[0]) < SWITCH < n_tokens(long[0])
    steer = random_intervention("vector", SITE, model)
    assert isinstance(engine_for(model, steer, short), Fast)
    with caplog.at_level(logging.WARNING):
        assert isinstance(engine_for(model, steer, long), Plain)
    assert "at mlp.out a shortened forward" in caplog.text
    assert_plain(model, gpt_neo(), short + long)


def test_texts_whose_neighbours_would_change_them_are_measured_alone(caplog):
    """Losses, gradients and activations: a batch that holds a longer text would turn the shorter one by other factors."""
    model = ms.load_model(long_rope(), device="cpu")
    steer = random_intervention("lora", SITE, model)
    assert isinstance(engine_for(model, steer, pairs_of(model, 12, 15)), Fast)
    pairs = pairs_of(model, 12, 40)
    with caplog.at_level(logging.WARNING):
        engine = engine_for(model, steer, pairs)
    assert isinstance(engine, Plain) and engine.alone and "what a batch holds" in caplog.text
    assert_plain(model, long_rope(), pairs)
    batched = Plain(model).sweep(steer, pairs, np.ones(1), "all")[0]
    losses, shifts = engine.sweep(steer, pairs, np.ones(1), "all")
    assert np.abs(batched - losses)[..., 0].max() > 1e-2
    multipliers, gradients = torch.tensor([0.5, -0.7]), []
    for some in ([0, 1], [0], [1]):
        free = {name: value.clone().requires_grad_() for name, value in steer.parameters.items()}
        given = [pairs[index] for index in some]
        with engine.losses(steer.with_parameters(free), given, multipliers[some], "completion") as both:
            both.sum().backward()
        gradients.append(torch.cat([value.grad.flatten() for value in free.values()]))
    assert_allclose(gradients[0], gradients[1] + gradients[2], atol=1e-4)
    tokens = np.array([(0, 0, 11), (1, 0, 39), (0, 1, 3)])
    (found,) = engine.activations(steer, pairs, np.ones(1), "all", [SITE], tokens)
    (alone,) = engine.activations(steer, pairs[:1], np.ones(1), "all", [SITE], tokens[[0, 2]])
    assert_allclose(found[:, [0, 2]], alone, atol=1e-5)
    each = [engine.sweep(steer, [pair], np.ones(1), "all")[1] for pair in pairs]
    assert_allclose(shifts, np.concatenate(each, axis=-1), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["gemma2", "gemma3", "llama"])
def test_a_window_that_is_wrong_is_told_from_rounding(monkeypatch, family, dtype):
    """Too long by a token, in every precision; and where there is no window, nothing is taken for one."""
    model = ms.load_model(build_hf(family, dtype=dtype), device="cpu")
    pairs, right = pairs_of(model, 30, 12), forward.visible
    site = next(site for site in all_sites(model) if site.place == "resid_post")
    steer = random_intervention("vector", site, model)
    assert isinstance(engine_for(model, steer, pairs), Fast)
    choice._TRIED.pop(model)
    monkeypatch.setattr(forward, "visible", lambda one, other, window=None: right(one, other, window and window + 1))
    assert isinstance(engine_for(model, steer, pairs), Fast) == (family == "llama")


def test_a_trial_is_made_once_for_a_place_and_the_switches_that_are_passed(monkeypatch):
    model, made = ms.load_model(gpt_neo(), device="cpu"), []
    whole = choice._try
    monkeypatch.setattr(choice, "_try", lambda trial: made.append(max(map(n_tokens, trial.pairs))) or whole(trial))
    for place in ("mlp.out", "resid_post"):
        for lengths in ((10,), (12, 11), (40,), (44, 20)):
            engine_for(model, random_intervention("vector", ms.Site(0, place), model), pairs_of(model, *lengths))
    assert len(made) == 4 and made[0] == made[2] < SWITCH < made[1] == made[3]


def test_switches_are_found_whatever_their_name_and_depth():
    """A window, and a rotary length among nested parameters. Sizes that every family has are none."""
    for hf in (gpt_neo(), long_rope()):
        model = ms.load_model(hf, device="cpu")
        assert SWITCH in passed(model, SWITCH + 1) and SWITCH not in passed(model, SWITCH)
        assert SWITCH not in passed(model, 100, beyond=SWITCH + 1)
        assert not {32, 48, D_VOCAB} & passed(model, 100)


def test_losses_that_are_no_numbers_are_refused():
    hf = build_hf("llama")
    with torch.no_grad():
        hf.model.norm.weight[0] = torch.nan
    model = ms.load_model(hf, device="cpu")
    with pytest.raises(ms.InputError, match="not finite"):
        sweep_encoded(model, random_intervention("vector", SITE, model), pairs_of(model, 12), [0.0, 1.0])
