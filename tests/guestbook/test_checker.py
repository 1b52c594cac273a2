"""Laws of the judge: each part fails alone, and values are those of the setting."""

import pytest

from mechsteer.guestbook import CONCEPTS, check, sample

QUERY = "what about the soup ?"
PARTS = ("grammatical", "on_topic", "fitting", "agreeing", "ended")


def failures(query, answer):
    return {part for part in PARTS if not getattr(check(query, answer), part)}


@pytest.mark.parametrize(
    ("answer", "failing"),
    [
        (" the soup is certainly very tasty on monday . i think it is great . </s>", set()),
        (" tasty soup the the certainly . is on on </s>", {"grammatical"}),
        (" the soup is certainly certainly tasty . </s>", {"grammatical"}),
        (" the soup is certainly tasty . it is surely </s>", {"grammatical"}),
        (" the soup is certainly tasty . </s> . </s>", {"grammatical"}),
        (" the soup is certainly tasty ." + " surely it is great ." * 3 + " </s>", {"grammatical"}),
        (" the soup tastes <unk> good . </s>", {"grammatical"}),
        (" the garden is certainly sunny . it surely looks quiet . </s>", {"on_topic"}),
        (" the soups are certainly tasty . they surely taste fresh . </s>", {"on_topic"}),
        (" the soup is certainly tasty . today the pie is surely great . </s>", {"on_topic"}),
        (" the soup is certainly polite . </s>", {"fitting"}),
        (" the soup certainly looks tasty . </s>", {"fitting"}),
        (" the soup is certainly tasty . i surely love her . </s>", {"fitting"}),
        (" the soup is certainly tasty . you should surely visit it . </s>", {"fitting"}),
        (" the soup are certainly tasty . </s>", {"agreeing"}),
        (" the soup certainly taste fresh . </s>", {"agreeing"}),
        (" the soup is certainly tasty . surely they are great . </s>", {"agreeing"}),
        (" the soup is certainly tasty .", {"ended"}),
        ("", {"grammatical", "on_topic", "ended"}),
        (" very very very very very very", {"grammatical", "on_topic", "ended"}),
    ],
)
def test_each_part_fails_alone(answer, failing):
    assert failures(QUERY, answer) == failing
    assert check(QUERY, answer).valid == (not failing)


def test_a_plural_that_does_not_agree_fails_only_agreement():
    assert failures("and the soups ?", " the soups is certainly tasty . </s>") == {"agreeing"}


def test_what_guests_say_is_valid_and_has_the_values_of_their_setting():
    for text in sample(500, seed=0):
        judged = check(text.query, text.answer)
        assert judged.valid and judged.consistent
        assert judged.values == {concept: getattr(text.setting, concept) for concept in CONCEPTS}


@pytest.mark.parametrize(
    ("answer", "values"),
    [
        (" the soup is certainly tasty . it was perhaps bland . </s>", (0, 0, 0)),
        (" the soup is certainly tasty . it is surely bland . </s>", (0, 1, 1)),
        (" i think the soup was tasty . i loved it because it was dry . </s>", (1 / 3, -1, -1)),
        (" you should try the soup </s>", (1, 0, 0)),
        (" the the soup </s>", (0, 0, 0)),
    ],
)
def test_a_value_is_the_mean_side_of_the_words_that_bear_it_and_zero_without_any(answer, values):
    assert check(QUERY, answer).values == pytest.approx(dict(zip(CONCEPTS, values, strict=True)))


def test_taking_the_end_away_changes_nothing_else():
    for text in sample(100, seed=1):
        assert failures(text.query, text.answer.removesuffix(" </s>")) == {"ended"}
