"""Laws of the polarity pairs."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from mechsteer.guestbook import CONCEPTS, TOPICS, check, log_probability, pairs, revealed

by_concept = pytest.mark.parametrize("concept", CONCEPTS)


@by_concept
def test_the_sides_of_a_pair_differ_in_their_concept_alone_and_are_equally_long(concept):
    for pair in pairs(concept, 200):
        positive, negative = check(pair.query, pair.positive), check(pair.query, pair.negative)
        assert positive.valid and negative.valid
        assert (positive.values[concept], negative.values[concept]) == (1, -1)
        others = [other for other in CONCEPTS if other != concept]
        assert all(positive.values[other] == negative.values[other] for other in others)
        assert len(pair.positive.split()) == len(pair.negative.split())


@by_concept
def test_completions_begin_with_a_space_and_end_with_the_end_token(concept):
    for pair in pairs(concept, 50):
        for completion in (pair.positive, pair.negative):
            assert completion[0] == " " != completion[1]
            assert completion.endswith(" . </s>") and completion.count("</s>") == 1


@by_concept
def test_the_query_of_a_pair_reveals_nothing(concept):
    assert not any(revealed(pair.query) for pair in pairs(concept, 100))


@pytest.mark.slow
@by_concept
def test_the_language_prefers_neither_side_on_average_though_it_does_on_most_pairs(concept):
    preference = np.array(
        [
            log_probability(pair.positive, pair.query) - log_probability(pair.negative, pair.query)
            for pair in pairs(concept)
        ]
    )
    assert abs(preference.mean()) < 4 * preference.std() / len(preference) ** 0.5
    assert preference.std() > 0.2


@by_concept
def test_topics_are_groups_and_come_equally_often(concept):
    found = pairs(concept, 3 * len(TOPICS))
    assert Counter(pair.group for pair in found) == dict.fromkeys(TOPICS, 3)
    assert all(pair.id.startswith(f"{pair.group}-") for pair in found)
    assert all(pair.query.split()[-2] in pair.positive.split() for pair in found)


def test_pairs_are_distinct_and_named_by_their_concept():
    found = pairs("tense", 1000)
    assert found.name == "guestbook/tense"
    assert len({(pair.query, pair.positive) for pair in found}) == len({pair.id for pair in found}) == 1000


def test_more_pairs_begin_with_the_same_pairs_and_another_seed_gives_others():
    assert pairs("sentiment", 200).items[:90] == pairs("sentiment", 90).items
    assert pairs("sentiment", 90, seed=1).items != pairs("sentiment", 90).items


def test_another_process_draws_the_same_pairs_and_needs_no_torch():
    program = "import sys; from mechsteer.guestbook import pairs; print(*pairs('certainty', 30)); "
    program += "assert not {'torch', 'transformers'} & set(sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONHASHSEED": "7"})
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == " ".join(map(str, pairs("certainty", 30)))


def test_an_unknown_concept_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no concept 'mood'.*sentiment, certainty, tense"):
        pairs("mood")
