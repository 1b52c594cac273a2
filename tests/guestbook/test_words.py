"""Laws of the lexicon."""

from collections import Counter

import pytest

from mechsteer.guestbook.grammar import sample, vocabulary
from mechsteer.guestbook.words import CONCEPTS, NOUNS, SLOTS, TOPICS, forms, settings_of

SETTINGS = [settings_of(noun) for noun in (NOUNS["soup"], NOUNS["terraces"], NOUNS["waiter"], NOUNS["lamps"])]


def test_the_vocabulary_has_each_word_once_and_no_notation():
    words = vocabulary()
    assert 300 <= len(words) <= 600
    assert len(set(words)) == len(words)
    assert all(
        word.isalpha() and word.islower() for word in words if word not in ("<pad>", "<s>", "</s>", "<unk>", ".", "?")
    )


def test_every_topic_has_a_singular_and_a_plural():
    assert Counter(noun.topic for noun in NOUNS.values()) == dict.fromkeys(TOPICS, 2)
    assert {(noun.topic, noun.number) for noun in NOUNS.values()} == {
        (topic, number) for topic in TOPICS for number in ("singular", "plural")
    }


def test_kinds_and_numbers_have_equally_many_nouns():
    assert len(set(Counter((noun.kind, noun.number) for noun in NOUNS.values()).values())) == 1


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings[0].noun.word)
def test_an_entry_has_as_many_words_in_every_setting(slot, settings):
    lengths = {tuple(len(form.words) for form in forms(slot, setting)) for setting in settings}
    assert len(lengths) == 1


def test_nouns_and_sides_are_drawn_independently_of_each_other():
    texts = sample(4000, seed=1)
    for concept in CONCEPTS:
        assert abs(sum(getattr(text.setting, concept) for text in texts)) < 4 * 4000**0.5
        for other in set(CONCEPTS) - {concept}:
            both = sum(getattr(text.setting, concept) * getattr(text.setting, other) for text in texts)
            assert abs(both) < 4 * 4000**0.5
    assert {text.setting.noun for text in texts} == set(NOUNS.values())
