"""Laws of the rich language: exact probabilities, weak cues, uneven base rates, a planted correlation, and a ring."""

from collections import Counter
from functools import partial
from itertools import product
from math import cos, exp, inf, log, pi
from random import Random

import numpy as np
import pytest
from scipy.stats import chisquare

from analyses.evidence.texts import word_marks
from mechsteer.errors import InputError
from mechsteer.guestbook import LANGUAGES, RICH, language_of
from mechsteer.guestbook.pages import realise
from mechsteer.guestbook.rich import grammar, guests
from mechsteer.guestbook.rich.words import EXAMPLES, GRADED, RINGS, TELLS, choices, opposite
from mechsteer.guestbook.words import NOUNS

QUERY = "what about the soup ?"
SOUP = NOUNS["soup"]
by_noun = pytest.mark.parametrize("noun", EXAMPLES, ids=lambda noun: noun.word)


def correlation(weights, first, second):
    """Of two quantities over settings, each as likely as its weight."""
    weights, first, second = np.broadcast_arrays(weights, first, second)
    first, second = (values - (weights * values).sum() for values in (first, second))
    covariance = (weights * first * second).sum()
    return covariance / np.sqrt((weights * first**2).sum() * (weights * second**2).sum())


@pytest.fixture
def small_language(monkeypatch):
    """A language small enough to write out."""
    monkeypatch.setattr(grammar, "OPENINGS", {"the NOUN BE VERY .": 2})
    monkeypatch.setattr(grammar, "SEQUELS", {"on WEATHER days IT BE .": 3})
    monkeypatch.setattr(grammar, "N_SENTENCES", {1: 1, 2: 1})


def test_a_concept_tells_its_language():
    assert sum(len(language.concepts) for language in LANGUAGES.values()) == len(
        {concept for language in LANGUAGES.values() for concept in language.concepts}
    )
    assert all(language_of(concept) is language for language in LANGUAGES.values() for concept in language.concepts)
    with pytest.raises(InputError, match="no concept|No language"):
        language_of("mood")


@by_noun
def test_what_may_fill_a_slot_has_probabilities_that_sum_to_one_for_every_guest(noun):
    everyone = guests.all_settings(noun)
    for slot in {*TELLS, "IT", "THEM", "NOUN"}:
        assert np.allclose(sum(form.weight for form in everyone.forms(slot)), 1)
    assert guests.prior(everyone, grammar.correlation_with_care()).sum() == pytest.approx(1)


def test_the_answers_of_a_small_language_have_probabilities_that_sum_to_one(small_language):
    said = {part: [" ".join(choice.words) for choice in choices(part, SOUP)] for part in ("BE", "VERY", "WEATHER")}
    openings = [f"the soup {be} {very} ." for be, very in product(said["BE"], said["VERY"])]
    sequels = ["", *(f" on {weather} days it {be} ." for weather, be in product(said["WEATHER"], said["BE"]))]
    answers = {f"{opening}{sequel} </s>" for opening, sequel in product(openings, sequels)}
    assert len(answers) == 16 * 25
    for query in (QUERY, "in may a chatty hasty guest speaks . " + QUERY):
        assert sum(exp(RICH.log_probability(answer, query)) for answer in answers) == pytest.approx(1)


def test_probabilities_do_not_depend_on_how_finely_the_circle_is_cut(monkeypatch):
    texts = RICH.sample(6, seed=1)
    coarse = [RICH.log_probability(text.answer, text.query) for text in texts]
    monkeypatch.setattr(grammar, "all_settings", partial(guests.all_settings, n_angles=4 * guests.N_ANGLES))
    grammar._query_probability.cache_clear()
    fine = [RICH.log_probability(text.answer, text.query) for text in texts]
    grammar._query_probability.cache_clear()
    assert coarse == pytest.approx(fine, abs=1e-9)


def test_answers_come_as_often_as_their_probabilities_say(small_language, monkeypatch):
    monkeypatch.setattr(grammar, "N_SENTENCES", {1: 1})
    answers = [
        f" the soup {be.words[0]} {very.words[0]} . </s>"
        for be, very in product(choices("BE", SOUP), choices("VERY", SOUP))
    ]
    random, n_answers = Random(0), 600
    guest = [grammar.draw_guest(random, SOUP) for _ in range(n_answers)]
    drawn = Counter(realise(grammar.draw_derivation(random, setting), setting) for setting in guest)
    expected = np.array([n_answers * exp(RICH.log_probability(answer, QUERY)) for answer in answers])
    assert chisquare([drawn[answer] for answer in answers], expected).pvalue > 0.001


@pytest.mark.parametrize("concept", GRADED)
def test_a_level_multiplies_the_odds_of_a_cue_by_three(concept):
    slots = [slot for slot, told in TELLS.items() if told == concept]
    for level, slot in product(guests.LEVELS, slots):
        setting = guests.draw_setting(Random(0), SOUP, grammar.correlation_with_care(), **{concept: level})
        weights = np.array([form.weight for form in setting.forms(slot)])
        for_it, against = weights.reshape(2, -1).sum(axis=1)
        assert for_it / against == pytest.approx(3.0**level)


@by_noun
@pytest.mark.parametrize("concept", GRADED)
def test_side_and_validity_correlate_as_planned_for_every_noun_and_base_rates_are_uneven(concept, noun):
    everyone = guests.all_settings(noun)
    likely = guests.prior(everyone, grammar.correlation_with_care())
    side = np.sign(getattr(everyone, concept))
    # An answer is valid or not by chance, given care: a weight for each of the two.
    valid = np.where(everyone.care > 0, 1, grammar.valid_share(-1))
    both = np.stack(np.broadcast_arrays(likely * valid, likely * (1 - valid)))
    is_valid = np.array([1.0, 0.0]).reshape(2, *[1] * likely.ndim)
    assert correlation(both, side[None], is_valid) == pytest.approx(guests.CORRELATION[concept], abs=1e-9)
    assert (likely * (side > 0)).sum() in [pytest.approx(share) for share in guests.COMMON]
    assert (likely * (everyone.care > 0)).sum() == pytest.approx(guests.CARE)


def test_answers_are_valid_as_often_and_go_along_with_sides_as_much_as_the_grammar_says():
    texts = RICH.sample(250, seed=3)
    valid = np.array([RICH.check(text.query, text.answer).valid for text in texts])
    careful = np.array([text.setting.care > 0 for text in texts])
    assert valid[careful].all()
    n_careless = (~careful).sum()
    assert abs(valid[~careful].mean() - grammar.valid_share(-1)) < 4 * 0.5 / n_careless**0.5
    kinds = np.array([text.setting.noun.kind for text in texts])
    for concept, planned in guests.CORRELATION.items():
        side = np.array([np.sign(getattr(text.setting, concept)) for text in texts])
        found = np.mean([np.corrcoef(side[kinds == kind], valid[kinds == kind])[0, 1] for kind in guests.KINDS])
        assert abs(found - planned) < 4 / len(texts) ** 0.5


def test_the_seasons_words_stand_on_a_ring():
    """From the grammar alone: how often two words come from one guest places them on a circle, in order and evenly."""
    everyone = guests.all_settings(SOUP)
    for slot, words in RINGS.items():
        likely = np.array([form.weight.ravel() for form in everyone.forms(slot)])
        together = likely @ likely.T / likely.shape[1]
        _, vectors = np.linalg.eigh(together - together.mean())
        angles = np.unwrap(np.angle(vectors[:, -1] + 1j * vectors[:, -2]))
        steps = np.diff(angles)
        assert np.allclose(steps, steps[0]) and abs(steps[0]) == pytest.approx(2 * pi / len(words))


def test_an_answer_points_to_the_season_of_its_guest():
    season = guests.all_settings(SOUP).season.ravel()
    closeness = []
    for text in RICH.sample(30, seed=4, reveal=False):
        noun = text.setting.noun
        settings = guests.all_settings(noun)
        likely = grammar.answer_probability(
            text.answer, settings, grammar.OPENINGS, grammar.SEQUELS, grammar.N_SENTENCES
        )
        posterior = likely * guests.prior(settings, grammar.correlation_with_care())
        by_angle = posterior.sum(axis=tuple(range(posterior.ndim - 1)))
        closeness.append(cos(np.angle((by_angle * np.exp(1j * season)).sum()) - text.setting.season))
    assert np.mean(closeness) > 0.7


# The checker


@pytest.mark.parametrize(
    ("answer", "failing"),
    [
        (" in may the soup is certainly most tasty . my mates think it is great . </s>", set()),
        (" in may the soup are certainly most tasty . my mates think it is great . </s>", {"agreeing"}),
        (" in may the soup is certainly most tasty . surely they is great . </s>", {"grammatical", "agreeing"}),
        (" in may the soup is certainly most polite . my mates think it is great . </s>", {"fitting"}),
        (" in may the pie is certainly most tasty . my mates think it is great . </s>", {"on_topic"}),
        (" in may soup is certainly most tasty . my mates think it is great . </s>", {"grammatical"}),
        (" in may the soup is certainly most tasty . my mates think it is great .", {"ended"}),
    ],
)
def test_each_part_fails_alone(answer, failing):
    judged = RICH.check(QUERY, answer)
    parts = ("grammatical", "on_topic", "fitting", "agreeing", "ended")
    assert {part for part in parts if not getattr(judged, part)} == failing
    assert judged.valid == (not failing)


def test_values_are_means_over_cues_and_the_seasons_a_cosine():
    judged = RICH.check(QUERY, " in july the soup is maybe most tasty . my mates think it are terrible . </s>")
    assert judged.values == {"praise": 0, "assurance": -1, "register": 0, "season": 1, "care": 0}
    assert RICH.check(QUERY, " in april the soup").values["season"] == 0
    assert RICH.check(QUERY, " in january the soup").values["season"] == -1


def test_a_place_is_sunny_and_so_is_a_day():
    of_a_day, of_a_place = (RICH.check(QUERY, f" the soup {words}") for words in ("on sunny days", "is sunny"))
    assert of_a_day.fitting and of_a_day.values["season"] > 0 == of_a_day.values["praise"]
    assert not of_a_place.fitting and of_a_place.values["praise"] == 1 > of_a_place.values["season"] == 0
    assert word_marks(QUERY, "the soup on sunny days", RICH) == ". . . season+ ."


def test_an_answer_is_in_the_language_exactly_when_nothing_but_verbs_is_wrong():
    random = Random(0)
    texts = RICH.sample(60, seed=5, reveal=False)
    words = [word for text in texts for word in text.answer.split()]
    slips = {"is": "are", "are": "is"}
    inside = 0
    for text in texts:
        answer = [slips.get(word, word) for word in text.answer.split()]
        if random.random() < 0.7:
            answer[random.randrange(len(answer))] = random.choice(words)
        answer = " ".join(answer)
        judged = RICH.check(text.query, answer)
        marks = word_marks(text.query, answer, RICH).split()
        only_verbs = all("care-" in mark for mark in marks if "disagreeing" in mark)
        allowed = judged.grammatical and judged.on_topic and judged.fitting and judged.ended and only_verbs
        possible = RICH.log_probability(answer, text.query) > -inf
        assert possible == allowed, (text.query, answer)
        inside += possible
    assert 10 < inside < 50


# Pairs


@pytest.mark.parametrize("concept", RICH.concepts)
def test_pairs_differ_in_their_concept_alone_and_to_the_opposite(concept):
    for pair in RICH.pairs(concept, 72):
        positive, negative = (RICH.check(pair.query, side) for side in (pair.positive, pair.negative))
        assert positive.valid and negative.valid == (concept != "care")
        assert positive.values[concept] == pytest.approx(-negative.values[concept])
        others = [other for other in RICH.concepts if other != concept]
        assert all(positive.values[other] == negative.values[other] for other in others)
        assert len(pair.positive.split()) == len(pair.negative.split()) and pair.positive != pair.negative


@pytest.mark.parametrize("concept", GRADED)
def test_some_guests_of_the_positive_side_have_said_more_for_the_other(concept):
    values = np.array([RICH.check(pair.query, pair.positive).values[concept] for pair in RICH.pairs(concept, 96)])
    assert 0.01 < (values < 0).mean() < 0.25


def test_pairs_repeat_with_their_seed_and_more_begin_with_the_same():
    assert RICH.pairs("season", 20).items == RICH.pairs("season", 30).items[:20]
    assert RICH.pairs("season", 20).items != RICH.pairs("season", 20, seed=1).items
    assert RICH.pairs("season", 20).name == "guestbook-rich/season"


@by_noun
def test_the_opposite_of_the_opposite_is_the_choice_itself_and_tells_the_other_side(noun):
    for slot in TELLS:
        found = choices(slot, noun)
        for place, choice in enumerate(found):
            other = opposite(slot, place, noun)
            assert opposite(slot, other, noun) == place
            told, untold = choice.value, found[other].value
            assert abs(told - untold) == pytest.approx(pi) if slot in RINGS else told == -untold


@pytest.mark.parametrize("concept", RICH.concepts)
def test_a_line_hints_at_its_side_by_the_odds_of_a_cue_and_at_nothing_else(concept):
    answers = RICH.pairs(concept, 1)[0]
    told = []
    for side in (1, -1):
        query = f"{RICH.reveal(concept, side)} {answers.query}"
        told.append(RICH.log_probability(answers.positive, query) - RICH.log_probability(answers.negative, query))
    sign = np.sign(RICH.check(answers.query, answers.positive).values[concept])
    assert sign * (told[0] - told[1]) > 0.5
    line = RICH.reveal(concept, 1).split()
    slots = {
        slot for slot in TELLS for choice in choices(slot, SOUP) if choice.words and set(choice.words) <= set(line)
    }
    assert {TELLS[slot] for slot in slots} == {concept}


def test_what_no_guest_says_has_no_probability_and_a_query_from_elsewhere_is_refused():
    assert RICH.log_probability("the soup is certainly tasty . </s>", QUERY) == -inf
    assert RICH.log_probability("", QUERY) == -inf
    with pytest.raises(ValueError, match="no query of the guestbook"):
        RICH.log_probability("the soup", "what about the weather ?")


def test_a_slip_costs_what_careless_guests_are_and_do(small_language):
    """By hand: of two verbs right or wrong, given nothing else."""
    right, wrong = (" the soup is most . on hot days it is . </s>", " the soup are most . on hot days it are . </s>")
    care, slip = guests.CARE, guests.SLIP
    difference = RICH.log_probability(right, QUERY) - RICH.log_probability(wrong, QUERY)
    # Register, which the other cue tells, does not go along with care.
    assert difference == pytest.approx(log((care + (1 - care) * (1 - slip) ** 2) / ((1 - care) * slip**2)))
