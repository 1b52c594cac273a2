"""What a judge's rates are worth: intervals hold the truth as often as they say, and a judge that changes is found out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix

import mechsteer as ms
from analyses.evidence.reliability import differences, of_known, reliability, sentence_of_differences
from analyses.studies.judges import known_texts
from mechsteer.judges.base import Judge, Judgement
from mechsteer.judges.scale import CONCEPT, Aspect
from mechsteer.statistics.agreement import (
    Confusion,
    carries_over,
    corrected,
    independent_texts,
    prediction_powered,
)
from mechsteer.store.keys import Key


def judged(rng: np.random.Generator, truth: np.ndarray, sensitivity: float, specificity: float) -> np.ndarray:
    return rng.random(len(truth)) < np.where(truth, sensitivity, 1 - specificity)


def tried(rng: np.random.Generator, n: int, sensitivity: float = 0.85, specificity: float = 0.7) -> Confusion:
    truth = rng.random(n) < 0.5
    return Confusion.of(truth, judged(rng, truth, sensitivity, specificity))


def test_counts_and_kappa_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.random(80) < 0.3
    said = judged(rng, truth, 0.8, 0.9)
    found = Confusion.of(truth, said)
    rejections, false_alarms, misses, hits = confusion_matrix(truth, said).ravel().tolist()
    assert found == Confusion(hits, misses, false_alarms, rejections)
    assert found.kappa == pytest.approx(cohen_kappa_score(truth, said))
    assert found.rates == (hits / (hits + misses), rejections / (rejections + false_alarms))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_corrected_rate_holds_the_truth_where_the_judges_own_does_not(share):
    rng, held, held_raw = np.random.default_rng(0), [], []
    for _ in range(400):
        truth = rng.random(200) < share
        rate = float(judged(rng, truth, 0.85, 0.7).mean())
        estimate, interval = corrected(rate, 200, tried(rng, 120))
        held.append(share in interval)
        held_raw.append(abs(rate - share) < 1.96 * np.sqrt(rate * (1 - rate) / 200))
    assert np.mean(held) > 0.92
    assert np.mean(held_raw) < 0.9 or share == 0.5


def answers(rng: np.random.Generator, n_queries: int, n: int, biased: float = 0.0) -> tuple[np.ndarray, ...]:
    """Truth, verdicts that err in 10 % and queries of texts, of which a query's are alike; the judge calls all answers to some of
    the queries yes or all no."""
    truth = rng.random((n_queries, n)) < rng.beta(0.4, 0.4, n_queries)[:, None]
    said = np.where(rng.random(truth.shape) < 0.1, ~truth, truth)
    kind = rng.random(n_queries)[:, None]
    said = np.where(kind < biased, kind < biased / 2, said)
    return truth.ravel(), said.ravel(), np.repeat(np.arange(n_queries), n)


@pytest.mark.parametrize("biased", [0.0, 0.15])
@pytest.mark.parametrize(("n_queries", "n"), [(32, 4), (32, 4 * 9), (10, 3 * 9), (5, 3 * 9)])
def test_a_corrected_rate_holds_the_truth_where_texts_of_a_query_are_alike(n_queries, n, biased):
    rng, held, held_by_texts = np.random.default_rng(0), [], []
    for _ in range(250):
        truth, said, queries = answers(rng, n_queries, n, biased)
        _, judged_said, judged_queries = answers(rng, n_queries, n, biased)
        rate = judged_said.mean()
        _, interval = corrected(
            rate, independent_texts(judged_said, judged_queries), Confusion.of(truth, said, queries)
        )
        if np.isnan(interval.low):  # All of a few queries' texts are of one kind.
            continue
        held.append(0.5 in interval)
        held_by_texts.append(0.5 in corrected(rate, len(said), Confusion.of(truth, said))[1])
    assert np.mean(held) > 0.93
    assert np.mean(held_by_texts) < 0.9


def test_sensitivity_and_specificity_hold_where_errors_are_alike_within_a_query():
    rng, held, held_by_texts = np.random.default_rng(0), [], []
    for _ in range(400):
        truth = rng.random((24, 30)) < rng.beta(2, 2, 24)[:, None]
        right = rng.random(truth.shape) < rng.beta(8, 2, 24)[:, None]
        queries = np.repeat(np.arange(24), 30)
        for given, found in ((queries, held), (None, held_by_texts)):
            judge = Confusion.of(truth.ravel(), (truth == right).ravel(), given)
            found.extend(0.8 in interval for interval in judge.intervals)
    assert 0.92 < np.mean(held) < 0.98 and np.mean(held_by_texts) < 0.8


def test_texts_that_each_have_a_query_are_independent_and_copies_tell_nothing_new():
    rng = np.random.default_rng(0)
    truth, said, queries = answers(rng, 60, 4)
    own = np.arange(len(truth))
    by_texts, by_query = Confusion.of(truth, said), Confusion.of(truth, said, queries)
    assert independent_texts(said, own) == pytest.approx(len(said))
    assert 60 < independent_texts(said, queries) < 4 * 60
    assert Confusion.of(truth, said, own).n_independent == pytest.approx(by_texts.n)
    assert Confusion.of(truth, said, own).intervals == by_texts.intervals and by_query == by_texts
    copies = Confusion.of(*(np.repeat(some, 9) for some in (truth, said, queries)))
    n = independent_texts(said, queries)
    assert independent_texts(np.repeat(said, 9), np.repeat(queries, 9)) == pytest.approx(n, rel=0.02)
    (_, one), (_, other) = corrected(said.mean(), n, by_query), corrected(said.mean(), n, copies)
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.005)


def test_where_nothing_shows_how_alike_texts_are_a_query_counts_once():
    queries = np.repeat(np.arange(12), 20)
    none = np.zeros(240, bool)
    assert independent_texts(none, queries) == independent_texts(~none, queries) == 12
    assert independent_texts(np.arange(20) < 9, np.zeros(20)) == 1
    assert Confusion.of(none, none, queries).n_independent == (0, 12)
    perfect = Confusion.of(queries < 6, queries < 6, queries)
    assert perfect.n_independent == (6, 6)
    _, interval = corrected(0.5, 12, perfect)
    assert interval.low < 0.25 and interval.high > 0.75


def test_the_rates_of_all_multipliers_have_hardly_less_doubt_than_those_of_one_where_queries_decide():
    """Nine multipliers of the same answers; before, they made an interval a third as wide."""
    truth, said, queries = answers(np.random.default_rng(0), 32, 4)
    rows = pd.DataFrame({"pair": queries.astype(str), "true": truth, "said": said, "tries": queries % 2 == 0})
    rows = pd.concat([rows.assign(multiplier=float(m), aspect="concept") for m in range(9)], ignore_index=True)
    found = reliability(rows, "the exact checker")
    widths = (found.high - found.low).to_numpy()
    assert found.not_corrected.eq("").all() and list(found.multiplier.isna()) == [True] + [False] * 9
    assert widths[0] == pytest.approx(widths[1], rel=0.05)


def test_a_judge_that_guesses_corrects_nothing():
    estimate, interval = corrected(0.4, 100, Confusion(5, 15, 15, 5))
    assert np.isnan(estimate) and np.isnan(interval.low)


@pytest.mark.slow
def test_a_judge_that_changes_with_the_multiplier_is_found_out_and_a_steady_one_is_not():
    rng = np.random.default_rng(0)
    steady = [carries_over([tried(rng, 60) for _ in range(4)]) for _ in range(60)]
    changing = [
        carries_over([tried(rng, 60, sensitivity, 0.7) for sensitivity in (0.9, 0.9, 0.8, 0.3)]) for _ in range(20)
    ]
    assert np.mean(np.array(steady) < 0.05) < 0.12 and np.mean(np.array(changing) < 0.05) > 0.8
    assert np.isnan(carries_over([tried(rng, 60)]))


def test_a_difference_by_a_biased_judge_is_corrected_by_what_is_known_of_a_part_and_its_own_interval_is_not():
    """The judge likes the first steer's texts by 0.1 more than they are worth; half of the queries are known."""
    rng, held, naive, truth = np.random.default_rng(0), [], [], 0.15
    for _ in range(1000):
        true = rng.normal(truth, 0.3, size=60)
        said = 0.7 * true + 0.1 + rng.normal(0, 0.15, size=60)
        held.append(truth in prediction_powered(said, np.where(np.arange(60) % 2, true, np.nan))[1])
        naive.append(abs(said.mean() - truth) < 1.96 * said.std(ddof=1) / np.sqrt(60))
    assert 0.93 < np.mean(held) < 0.97 and np.mean(naive) < 0.7
    assert np.isnan(prediction_powered(said, np.full(60, np.nan))[0])


def test_differences_are_corrected_query_by_query_only_where_the_judges_errors_carry_over():
    index = pd.MultiIndex.from_product(
        [[0.0, 1.0], [f"q{n:02}" for n in range(30)], [0, 1]], names=["multiplier", "pair", "sample"]
    )
    rng = np.random.default_rng(0)

    def steer(name: str, true: float, flattered: float, why: str = ""):
        worth = rng.uniform(true - 0.1, true + 0.1, size=len(index))
        rows = pd.DataFrame({"gold": worth, "value": worth + flattered}, index=index).reset_index()
        rows = rows.assign(role=CONCEPT, aspect="concept")
        known = rows.loc[rows.pair < "q15", ["multiplier", "pair", "sample", "role", "gold"]]
        return (
            Key(name, "vector"),
            rows.drop(columns="gold"),
            known,
            pd.DataFrame({"aspect": ["concept"], "not_corrected": [why]}),
        )

    steers = [steer("A", 0.6, 0.2), steer("B", 0.5, 0.0)]
    (row,) = (found := differences(steers)).to_dict("records")
    assert (row["method"], row["against"], row["multiplier"], row["n_queries"], row["n_known"]) == (
        "A",
        "B vector",
        1.0,
        30,
        15,
    )
    assert row["judged"] - row["difference"] == pytest.approx(0.2) and row["low"] < 0.1 < row["high"]
    assert "1 of 1 differences" in sentence_of_differences(found, "rules")
    assert differences([steers[0], steer("B", 0.5, 0.0, "its errors change")]).empty


def test_what_is_known_of_texts_is_read_and_tells_of_the_judge(tmp_path):
    (tmp_path / "gold.jsonl").write_text(
        "".join(
            f'{{"query": "Why?", "text": "text {n}", "gold": {n % 2}, "multiplier": {n % 3}}}\n' for n in range(120)
        )
    )
    known = known_texts(str(tmp_path / "gold.jsonl"))
    assert len(known) == 120 and known[1].gold and known[2].multiplier == 2.0
    scores = pd.DataFrame(
        {"multiplier": 1.0, "pair": list("abcde"), "sample": 0, "value": [1, 1, 0, 0, np.nan], "role": CONCEPT}
    )
    found = reliability(of_known(pd.DataFrame([vars(item) for item in known]), Odd(), scores), "gold")
    whole = found.loc[found.multiplier.isna()].iloc[0]
    # It errs where a number is divided by ten, which is never odd.
    assert (whole.hits, whole.misses, whole.false_alarms, whole.rejections) == (60, 0, 12, 48)
    assert whole.not_corrected == "" and whole.rate == 0.5
    assert whole.corrected == pytest.approx((0.5 + 0.8 - 1) / 0.8)
    without = pd.DataFrame([vars(item) for item in known]).drop(columns="multiplier")
    assert "labelled texts are unknown" in reliability(of_known(without, Odd(), scores), "gold").not_corrected[0]
    unknown = pd.DataFrame([vars(replace(item, multiplier=None)) for item in known])
    assert "labelled texts are unknown" in reliability(of_known(unknown, Odd(), scores), "gold").not_corrected[0]


def test_gold_is_read_as_tables_of_every_kind_write_it(tmp_path):
    """A column with an empty cell is one of floats to pandas, and true is a word in CSV."""
    rows = pd.DataFrame({
        "query": "Why?", "text": ["a", "b", "c", "d"], "gold": [1.0, 0.0, 1.0, 0.0], "multiplier": [2.0, np.nan, -1.0, 0.0],
    })  # fmt: skip
    rows.to_csv(tmp_path / "floats.csv", index=False)
    rows.to_parquet(tmp_path / "floats.parquet")
    rows.assign(gold=["TRUE", "false", "True", "0"]).to_csv(tmp_path / "words.tsv", index=False, sep="\t")
    for name in ("floats.csv", "floats.parquet", "words.tsv"):
        found = known_texts(str(tmp_path / name))
        assert [(item.text, item.gold, item.multiplier) for item in found] == [
            ("a", True, 2.0), ("b", False, None), ("c", True, -1.0), ("d", False, 0.0)
        ]  # fmt: skip


@pytest.mark.parametrize(("row", "said"), [
    ('{"query": "Why?", "text": "So.", "gold": "perhaps"}', "gold is 'perhaps'"),
    ('{"query": "Why?", "text": "So.", "gold": null}', "gold is 'none'"),
    ('{"query": "Why?", "text": null, "gold": 1}', "its query or its text is no text"),
    ('{"query": "Why?", "gold": 1}', "it has no 'text'"),
    ('{"query": "Why?", "text": "So.", "gold": 1, "multiplier": "large"}', "'large'"),
    ('{"query": "Why?", "text": "So.", "gold": 1, "multiplier": "inf"}', "its multiplier is infinite"),
    ("", "is empty"),
])  # fmt: skip
def test_gold_that_is_none_is_refused_in_one_sentence(tmp_path, row, said):
    (tmp_path / "bad.jsonl").write_text(row)
    with pytest.raises(ms.InputError) as raised:
        known_texts(str(tmp_path / "bad.jsonl"))
    assert said in str(raised.value) and "\n" not in str(raised.value)


class Odd(Judge):
    """Says yes to odd numbers, and to tens."""

    aspects = (Aspect("concept", CONCEPT),)

    @classmethod
    def open(cls, request, subject, answers):
        return cls()

    def judge(self, texts):
        numbers = [int(item.text.split()[1]) for item in texts]
        return {"concept": [Judgement(float(number % 2 or number % 10 == 0)) for number in numbers]}
