"""What a steered model writes at every multiplier, and the checker's marks on its words."""

import numpy as np
import pytest

import mechsteer as ms
from analyses.evidence.texts import NO_MARK, PARTS, word_marks, write_texts
from mechsteer import guestbook as language
from mechsteer.pairs.polarity import Pairs, PolarityPair

SITE = ms.Site(1, "resid_post")


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return language.pairs("sentiment", 40, seed=1)


def test_each_text_is_what_the_model_writes_alone_under_its_multiplier(guestbook, pairs):
    steer = ms.diff_mean(guestbook, pairs, SITE)
    multipliers = [-6.0, 0.0, 6.0]
    table = write_texts(guestbook, steer, pairs, multipliers, n_queries=3, batch_size=4, concept="sentiment")
    assert len(table) == 9 and table["query"].nunique() == 3
    for row in table.itertuples():
        with ms.steer(guestbook, steer, row.multiplier):
            (alone,) = ms.generate(guestbook, [row.query], temperature=0, keep_special_tokens=True)
        assert row.text == alone
        check = language.check(row.query, row.text)
        assert all(getattr(row, part) == getattr(check, part) for part in PARTS)
    sentiment = table.groupby("multiplier").sentiment.mean()
    assert sentiment[-6.0] < 0 < sentiment[6.0]


def test_without_a_checker_there_are_texts_alone(guestbook, pairs):
    steer = ms.diff_mean(guestbook, pairs, SITE)
    table = write_texts(guestbook, steer, pairs, np.array([0.0]), n_queries=2)
    assert list(table) == ["multiplier", "pair", "query", "text"]
    assert not table.text.str.contains("</s>").any()


def test_queries_are_spread_over_those_that_differ(guestbook):
    repeated = [
        PolarityPair(f"what about the {noun} ?", " a", " b") for noun in ["soup"] * 5 + ["park", "cook", "lamp"]
    ]
    steer = ms.diff_mean(guestbook, language.pairs("tense", 8), SITE)
    table = write_texts(guestbook, steer, Pairs(tuple(repeated), "repeated"), [0.0], n_queries=3)
    assert table["query"].nunique() == 3 and table["query"].iloc[-1] == "what about the lamp ?"


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("the soup was certainly bland . </s>", {2: "tense-", 3: "certainty+", 4: "sentiment-"}),
        ("the soup is perhaps tasty . </s>", {2: "tense+", 3: "certainty-", 4: "sentiment+"}),
        # A park is another noun than the soup that was asked about; what follows speaks of the park.
        ("the park is quiet . </s>", {1: "off_topic", 2: "tense+", 3: "sentiment+"}),
        ("the soup is quiet . </s>", {2: "tense+", 3: "sentiment+,unfitting"}),
        ("the soup are tasty . </s>", {2: "tense+,disagreeing", 3: "sentiment+"}),
    ],
)
def test_words_are_marked_for_what_the_checker_sees_in_them(text, marked):
    marks = word_marks("what about the soup ?", text).split(" ")
    assert len(marks) == len(text.split())
    assert {index: mark for index, mark in enumerate(marks) if mark != NO_MARK} == marked


def test_marks_agree_with_the_checker_on_what_the_language_says():
    for pair in language.pairs("certainty", 60, seed=3):
        marks = word_marks(pair.query, pair.positive)
        check = language.check(pair.query, pair.positive)
        assert check.valid and not any(word in marks for word in ("off_topic", "unfitting", "disagreeing"))
        sides = [
            1 if mark[-1] == "+" else -1 for code in marks.split() for mark in code.split(",") if "certainty" in mark
        ]
        assert np.mean(sides) == check.values["certainty"] == 1
