"""Laws of the tokenizer, the training and the model that comes with the package."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from mechsteer.guestbook import CONCEPTS, MODEL_FOLDER, pairs, sample
from mechsteer.guestbook import make_model as training
from mechsteer.guestbook.evaluate import (
    answer_log_probabilities,
    divergence_figures,
    generate,
    sample_figures,
    true_log_probabilities,
)
from mechsteer.guestbook.grammar import vocabulary

TEXTS = sample(300, seed=11)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(MODEL_FOLDER)


@pytest.fixture(scope="module")
def model():
    return LlamaForCausalLM.from_pretrained(MODEL_FOLDER).eval()


def test_a_word_is_a_token_and_a_text_comes_back_whole(tokenizer):
    for text in map(str, TEXTS):
        tokens = tokenizer(text).input_ids
        assert len(tokens) == 1 + len(text.split())
        assert tokens[0] == tokenizer.bos_token_id and tokens[-1] == tokenizer.eos_token_id
        assert tokenizer.unk_token_id not in tokens
        assert tokenizer.decode(tokens[1:]) == text


def test_the_tokens_of_a_query_begin_those_of_the_query_with_its_completion(tokenizer):
    for pair in pairs("sentiment", 50):
        query = tokenizer(pair.query).input_ids
        assert tokenizer(pair.query + pair.positive).input_ids[: len(query)] == query
        assert len(tokenizer(pair.query + pair.positive).input_ids) == len(
            tokenizer(pair.query + pair.negative).input_ids
        )


def test_the_tokenizer_that_comes_with_the_package_is_that_of_the_language(tokenizer):
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == list(vocabulary())
    assert tokenizer.backend_tokenizer.to_str() == training.build_tokenizer().backend_tokenizer.to_str()
    assert tokenizer("a word from elsewhere").input_ids.count(tokenizer.unk_token_id) == 3


@pytest.mark.slow
def test_the_model_speaks_the_language(model, tokenizer):
    queries = [text.query for text in TEXTS]
    figures = {
        figure.name: figure.value for figure in sample_figures(queries, generate(model, tokenizer, queries, seed=0))
    }
    assert {name for name, value in figures.items() if value < 0.95} <= {"in the language"}
    assert figures["in the language"] > 0.9


def test_the_model_knows_how_likely_each_answer_is(model, tokenizer):
    divergence = divergence_figures(model, tokenizer, TEXTS)[-1]
    assert -0.01 < divergence.value < 0.03


@pytest.mark.parametrize("concept", CONCEPTS)
def test_the_model_prefers_the_sides_of_a_pair_as_the_language_does(model, tokenizer, concept):
    items = pairs(concept, 72)
    queries = [pair.query for pair in items]
    preferences = [
        log_probabilities(queries, [pair.positive for pair in items])
        - log_probabilities(queries, [pair.negative for pair in items])
        for log_probabilities in (
            true_log_probabilities,
            lambda queries, answers: answer_log_probabilities(model, tokenizer, queries, answers),
        )
    ]
    assert np.corrcoef(preferences)[0, 1] > 0.8


def test_probabilities_do_not_depend_on_the_batch(model, tokenizer):
    queries, answers = [text.query for text in TEXTS[:20]], [text.answer for text in TEXTS[:20]]
    together = answer_log_probabilities(model, tokenizer, queries, answers)
    for index in (0, 7, 19):
        tokens = tokenizer(queries[index] + answers[index], return_tensors="pt").input_ids
        n_query = len(tokenizer(queries[index]).input_ids)
        with torch.no_grad():
            by_word = model(tokens).logits.log_softmax(-1)[0, torch.arange(tokens.shape[1] - 1), tokens[0, 1:]]
        assert together[index] == pytest.approx(by_word[n_query - 1 :].sum().item(), abs=1e-4)


def test_the_folder_holds_an_ordinary_model_and_no_path_of_a_machine():
    names = {path.name for path in MODEL_FOLDER.iterdir()}
    assert names == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config, tokenizer_config = (
        json.loads((MODEL_FOLDER / f"{of}config.json").read_text()) for of in ("", "tokenizer_")
    )
    assert config["architectures"] == ["LlamaForCausalLM"]
    settings = config | tokenizer_config
    assert not any("/" in value for value in settings.values() if isinstance(value, str) and value != "</s>")


def test_training_repeats_with_its_seed():
    first, again, other = (training.train(n_steps=2, batch_size=4, seed=seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


@pytest.mark.slow
def test_training_lowers_the_loss():
    tokenizer = training.build_tokenizer()
    queries, answers = [text.query for text in TEXTS[:50]], [text.answer for text in TEXTS[:50]]
    before, after = (
        answer_log_probabilities(training.train(n_steps, 16, seed=0)[0].eval(), tokenizer, queries, answers).mean()
        for n_steps in (0, 30)
    )
    assert after > before + 10


def test_a_run_that_is_cut_short_leaves_the_model_that_was_there(tmp_path, monkeypatch):
    model, tokenizer = training.build_model(seed=0), training.build_tokenizer()
    folder = tmp_path / "model"
    training.save(model, tokenizer, folder)
    before = (folder / "model.safetensors").read_bytes()

    def cut_short(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tokenizer, "save_pretrained", cut_short)
        training.save(training.build_model(seed=1), tokenizer, folder)
    assert (folder / "model.safetensors").read_bytes() == before
    training.save(training.build_model(seed=1), tokenizer, folder)
    assert (folder / "model.safetensors").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
