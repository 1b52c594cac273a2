"""Laws of the model that has learnt the rich language: it speaks it, knows its probabilities, and holds the ring."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

import mechsteer as ms
from mechsteer.guestbook import RICH
from mechsteer.guestbook import make_model as training
from mechsteer.guestbook.evaluate import answer_log_probabilities, divergence_figures, generate, true_log_probabilities
from mechsteer.guestbook.rich.words import RINGS

TEXTS = RICH.sample(150, seed=11)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(RICH.model_folder)


@pytest.fixture(scope="module")
def model():
    return LlamaForCausalLM.from_pretrained(RICH.model_folder).eval()


def test_the_tokenizer_that_comes_with_the_model_is_that_of_the_language(tokenizer):
    assert tokenizer.backend_tokenizer.to_str() == training.build_tokenizer(RICH).backend_tokenizer.to_str()
    assert all(tokenizer.unk_token_id not in tokenizer(str(text)).input_ids for text in TEXTS)


def test_the_model_makes_no_mistakes_but_those_of_the_language(model, tokenizer):
    queries = [text.query for text in TEXTS]
    found = [RICH.check(*both) for both in zip(queries, generate(model, tokenizer, queries, seed=0), strict=True)]
    own = [RICH.check(text.query, text.answer) for text in TEXTS]
    for part in ("grammatical", "on_topic", "fitting", "ended"):
        assert np.mean([getattr(judged, part) for judged in found]) > 0.9
    valid = [np.mean([judged.valid for judged in checks]) for checks in (own, found)]
    assert abs(valid[0] - valid[1]) < 0.15


def test_the_model_knows_how_likely_each_answer_is(model, tokenizer):
    assert -0.02 < divergence_figures(model, tokenizer, TEXTS, RICH)[-1].value < 0.05


def test_the_model_prefers_the_sides_of_a_pair_as_the_language_does(model, tokenizer):
    items = RICH.pairs("praise", 72)
    queries = [pair.query for pair in items]
    sides = [pair.positive for pair in items], [pair.negative for pair in items]
    true = np.subtract(*(true_log_probabilities(queries, side, RICH) for side in sides))
    found = np.subtract(*(answer_log_probabilities(model, tokenizer, queries, side) for side in sides))
    assert np.corrcoef(true, found)[0, 1] > 0.7


def test_the_months_lie_on_a_ring_in_the_models_activations(model, tokenizer):
    """Where a word for the weather is to follow, twelve months span a plane, and go around it in order."""
    months, nouns = RINGS["MONTH"], ("lamp", "chair", "desk")
    texts = [f"and the {noun} ? in {month} the {noun} is surely most useful . on" for month in months for noun in nouns]
    with torch.no_grad():
        states = model(**tokenizer(texts, return_tensors="pt"), output_hidden_states=True).hidden_states[4][:, -1]
    means = states.reshape(len(months), len(nouns), -1).mean(1).numpy()
    left, size, _ = np.linalg.svd(means - means.mean(axis=0))
    assert (size[:2] ** 2).sum() > 0.9 * (size**2).sum()
    angles = np.unwrap(np.angle(left[:, 0] * size[0] + 1j * left[:, 1] * size[1]))
    assert abs(np.sign(np.diff(angles)).sum()) == len(months) - 1


def test_the_folder_holds_an_ordinary_small_model_of_six_layers_and_no_path_of_a_machine():
    names = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in RICH.model_folder.iterdir()} == names
    assert (RICH.model_folder / "model.safetensors").stat().st_size < 2**21
    settings = json.loads((RICH.model_folder / "config.json").read_text())
    assert settings["num_hidden_layers"] == 6
    assert not any("/" in value for value in settings.values() if isinstance(value, str))


def test_the_model_and_its_pairs_open_by_name():
    model = ms.load_model("guestbook-rich", device="cpu")
    assert model.tokenizer is not None
    pairs = ms.load_pairs("guestbook-rich/praise")
    assert pairs.items == RICH.pairs("praise").items
    with pytest.raises(
        ms.InputError, match="no built-in set guestbook-rich/sentiment; there are guestbook-rich/praise"
    ):
        ms.load_pairs("guestbook-rich/sentiment")


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "N_STEPS_KEPT", 2)
    kept = tmp_path / "kept.pt"
    whole = training.train(3, 4, 0, RICH, kept)[0].state_dict()
    assert kept.exists()
    resumed = training.train(3, 4, 0, RICH, kept)[0].state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
