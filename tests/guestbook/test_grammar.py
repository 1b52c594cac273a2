"""Laws of the language: its probabilities are exact."""

from collections import Counter
from itertools import product
from math import exp, inf, log
from random import Random

import numpy as np
import pytest
from scipy.stats import chisquare

from mechsteer.guestbook import CONCEPTS, answer_entropy, check, grammar, log_probability, revealed, sample
from mechsteer.guestbook.grammar import OPENINGS, SEQUELS, query_log_probability
from mechsteer.guestbook.patterns import pattern_probability
from mechsteer.guestbook.words import NOUNS, forms, settings_of

QUERY = "what about the soup ?"


def sentences(patterns, setting):
    """Every derivation's words, by a route of its own."""
    for pattern in patterns:
        choices = [
            [form.words for form in forms(part, setting)] if part.isupper() else [(part,)] for part in pattern.split()
        ]
        yield from (sum(words, ()) for words in product(*choices))


@pytest.fixture
def small_language(monkeypatch):
    """A language small enough to write out: a few hundred answers for a noun."""
    monkeypatch.setattr(grammar, "OPENINGS", {"the NOUN BE SURELY GREAT .": 2})
    monkeypatch.setattr(grammar, "SEQUELS", {"i KNOW IT BE poor .": 3, "IT BE good .": 1})
    monkeypatch.setattr(grammar, "N_SENTENCES", {1: 3, 2: 2})


def answers_of_the_small_language():
    for setting in settings_of(NOUNS["soup"]):
        for n_sequels in (0, 1):
            for parts in product(
                *[list(sentences(p, setting)) for p in (grammar.OPENINGS, grammar.SEQUELS)[: 1 + n_sequels]]
            ):
                yield " ".join([*sum(parts, ()), "</s>"])


@pytest.mark.slow
@pytest.mark.parametrize("word", ["soup", "waiters"])
@pytest.mark.parametrize("patterns", [OPENINGS, SEQUELS], ids=["openings", "sequels"])
def test_the_sentences_of_a_setting_are_distinct_and_their_probabilities_sum_to_one(patterns, word):
    setting = settings_of(NOUNS[word])[3]
    written = list(sentences(patterns, setting))
    assert len(set(written)) == len(written)
    assert sum(pattern_probability(words, patterns, setting) for words in written) == pytest.approx(1)


def test_the_answers_of_a_small_language_have_probabilities_that_sum_to_one(small_language):
    answers = set(answers_of_the_small_language())
    assert sum(exp(log_probability(answer, QUERY)) for answer in answers) == pytest.approx(1)


def test_answers_come_as_often_as_their_probabilities_say(small_language):
    answers = sorted(set(answers_of_the_small_language()))
    random, n_answers = Random(0), 10_000
    drawn = Counter(
        grammar.realise(grammar.draw_derivation(random, setting), setting).strip()
        for setting in random.choices(settings_of(NOUNS["soup"]), k=n_answers)
    )
    expected = np.array([n_answers * exp(log_probability(answer, QUERY)) for answer in answers])
    assert set(drawn) <= set(answers)
    assert chisquare([drawn[answer] for answer in answers], expected).pvalue > 0.001


def test_two_derivations_of_one_answer_both_count(small_language, monkeypatch):
    once = log_probability("the soup is certainly great . it is good . </s>", QUERY)
    monkeypatch.setattr(grammar, "SEQUELS", {"it BE good .": 3, "IT BE good .": 1})
    assert log_probability("the soup is certainly great . it is good . </s>", QUERY) == pytest.approx(once + log(4))


def test_the_exact_entropy_is_the_mean_of_minus_log_probability():
    texts = sample(500, seed=2)
    nats = np.array([-log_probability(text.answer, text.query) for text in texts])
    tokens = np.array([len(text.answer.split()) for text in texts])
    error = (nats - answer_entropy() * tokens).mean() / tokens.mean()
    assert abs(error) < 4 * (nats - answer_entropy() * tokens).std() / tokens.mean() / len(texts) ** 0.5


def test_every_concept_that_is_revealed_adds_log_two_to_an_answer_and_excludes_its_opposite():
    for text in sample(200, seed=3):
        question = text.query.split(" . ")[-1]
        gain = log_probability(text.answer, text.query) - log_probability(text.answer, question)
        assert gain == pytest.approx(log(2) * len(revealed(text.query)))
        for concept, side in revealed(text.query).items():
            assert side == getattr(text.setting, concept)
    assert log_probability(" certainly the soup is tasty . </s>", "a furious guest speaks . " + QUERY) == -inf


def test_a_question_reveals_nothing_and_a_line_what_it_names():
    assert revealed(QUERY) == {}
    assert revealed("a guest speaks . " + QUERY) == {}
    assert revealed("a sour former guest speaks . " + QUERY) == {"sentiment": -1, "tense": -1}


def test_an_answer_is_in_the_language_exactly_when_it_is_valid_and_consistent():
    random = Random(0)
    texts = sample(800, seed=4, reveal=False)
    words = [word for text in texts for word in text.answer.split()]
    inside = 0
    for text in texts:
        answer = text.answer.split()
        for _ in range(random.randint(1, 2)):
            answer[random.randrange(len(answer))] = random.choice(words)
        judged = check(text.query, " ".join(answer))
        possible = log_probability(" ".join(answer), text.query) > -inf
        assert possible == (judged.valid and judged.consistent), (text.query, answer)
        inside += possible
    assert 10 < inside < 790


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "</s>",
        " the soup is certainly tasty .",
        " it is certainly tasty . </s>",
        " the soup is tasty . </s>",
        " the soup is certainly tasty . </s> </s>",
        " the soup is certainly tasty ." + " surely it is great ." * 3 + " </s>",
    ],
)
def test_what_no_guest_says_has_no_probability(answer):
    assert log_probability(answer, QUERY) == -inf


def test_the_probability_of_a_query_counts_nouns_and_questions():
    assert query_log_probability(QUERY) == pytest.approx(log(1 / 3 * 0.3 / len(NOUNS)))


@pytest.mark.parametrize(
    "query", ["", "what about the soup", "what about the soup and the pie ?", "what about the weather ?"]
)
def test_a_query_from_elsewhere_is_refused(query):
    with pytest.raises(ValueError, match="no query of the guestbook"):
        log_probability(" the soup is certainly tasty . </s>", query)


def test_sampling_repeats_with_its_seed_and_only_then():
    assert sample(50, seed=5) == sample(50, seed=5) != sample(50, seed=6)
    assert set(CONCEPTS) == set().union(*(revealed(text.query) for text in sample(50, seed=5)))
    assert not any(revealed(text.query) for text in sample(50, seed=5, reveal=False))
