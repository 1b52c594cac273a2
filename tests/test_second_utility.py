"""The second utility: words that may come next are the checker's, and what a model gives them is that of plain Hugging Face."""

import random

import numpy as np
import pytest
import torch

import mechsteer as ms
from analyses.evidence.neutral import neutral_texts
from analyses.evidence.second_utility import NEUTRAL, OWN, VALID, under
from mechsteer import guestbook
from mechsteer.guestbook.grammar import vocabulary
from mechsteer.guestbook.next_words import next_words

TEXTS = guestbook.sample(200, seed=3)


def admits(query: str, words: list[str]) -> bool:
    *before, after = next_words(query, words)
    return (
        all(word in found for word, found in zip(words, before, strict=True)) and words[-1:] == ["</s>"] and not after
    )


@pytest.mark.slow
def test_an_answer_is_admitted_exactly_if_the_checker_calls_it_valid():
    draw, found = random.Random(0), []
    for text in TEXTS[:10]:
        words = text.answer.split()
        assert admits(text.query, words)
        for _ in range(40):
            changed = list(words)
            changed[draw.randrange(len(words))] = draw.choice(vocabulary())
            found.append(admits(text.query, changed))
            assert found[-1] == guestbook.check(text.query, " ".join(changed)).valid, changed
    assert any(found) and not all(found)


def test_any_walk_along_the_words_that_may_come_next_ends_in_a_valid_answer():
    draw = random.Random(0)
    for text in TEXTS[:30]:
        words = []
        while options := next_words(text.query, words)[-1]:
            words.append(draw.choice(sorted(options)))
        assert guestbook.check(text.query, " ".join(words)).valid


def test_nothing_mends_an_answer_that_has_gone_wrong():
    text = TEXTS[0]
    assert next_words(text.query, ["the", "the", "the"])[-1] == frozenset()


@pytest.fixture(scope="module")
def steer(guestbook) -> ms.SteeringVector:
    learning, _ = ms.load_pairs("guestbook/sentiment").split(0.5, seed=0)
    return ms.diff_mean(guestbook, learning, "1:resid_post")


def plain(model: ms.Model, steer: ms.SteeringVector, m: float, ids: list[int]) -> torch.Tensor:
    """Log-probabilities after each token, by a hook of PyTorch's on the block."""

    def add(module, inputs, output):
        shift = m * steer.direction * (torch.arange(output.shape[1])[:, None] > 0)
        return output + shift

    hook = model.hf.model.layers[1].register_forward_hook(add)
    try:
        with torch.no_grad():
            return model.hf(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
    finally:
        hook.remove()


def test_the_mass_on_valid_next_words_is_that_of_plain_hugging_face(guestbook, steer):
    found = under(guestbook, steer, np.array([-6.0, 6.0]), [], concept="sentiment", seed=3)
    assert found.multiplier.tolist() == [-6.0, 0.0, 6.0] and set(found.read_from) == {VALID}
    tokenizer = guestbook.require_tokenizer()
    for row in found.itertuples():
        expected = []
        for text in TEXTS[: row.n_texts]:
            begin = len(tokenizer(text.query)["input_ids"])
            words = text.answer.split()
            of_next = plain(guestbook, steer, row.multiplier, tokenizer(str(text))["input_ids"])
            masses = [
                of_next[begin + place - 1, tokenizer.convert_tokens_to_ids(sorted(options))].logsumexp(0)
                for place, options in enumerate(next_words(text.query, words)[:-1])
            ]
            expected.append(float(torch.stack(masses).mean()))
        assert row.second_utility == pytest.approx(np.mean(expected), abs=1e-5)
    # Unsteered the model gives nearly all to them, and far out it does not.
    assert (
        found.second_utility[1] > -0.01
        and found.second_lost[0] > 0.05 > found.second_lost[2] > found.second_lost[1] == 0
    )
    assert (found.low <= found.second_lost).all() and (found.second_lost <= found.high).all()


def test_elsewhere_it_is_the_likelihood_of_neutral_text(stories):
    steer = ms.SteeringVector(ms.Site(1, "resid_post"), torch.randn(64, generator=torch.Generator().manual_seed(0)))
    found = under(stories, steer, np.array([-1.0, 0.0, 1.0]), [], concept="", seed=0)
    assert set(found.read_from) == {NEUTRAL}
    tokenizer = stories.require_tokenizer()
    for row in found.itertuples():
        expected = []
        for text in neutral_texts(row.n_texts):
            ids = tokenizer(text)["input_ids"]
            of_next = plain(stories, steer, row.multiplier, ids)
            expected.append(float(of_next[torch.arange(len(ids) - 1), ids[1:]].mean()))
        assert row.second_utility == pytest.approx(np.mean(expected), abs=1e-4)


def test_a_model_that_reads_none_of_it_gets_the_queries_each_once(guestbook, steer):
    """Queries are often the same for many pairs, and one may begin another."""
    queries = ["what about the burger ?", "what about the burger ?", "what about the burger", "how was the soup ?"]
    found = under(guestbook, steer, np.array([-3.0, 3.0]), queries, concept="", seed=0)
    assert set(found.read_from) == {OWN} and set(found.n_texts) == {3}
    tokenizer = guestbook.require_tokenizer()
    for row in found.itertuples():
        expected = []
        for text in dict.fromkeys(queries):
            ids = tokenizer(text)["input_ids"]
            of_next = plain(guestbook, steer, row.multiplier, ids)
            expected.append(float(of_next[torch.arange(len(ids) - 1), ids[1:]].mean()))
        assert row.second_utility == pytest.approx(np.mean(expected), abs=1e-4)
