"""Claims on judged text: what is planted in scores is found, and a judge by luck decides nothing."""

from dataclasses import replace

import drawn_study
import numpy as np
import pandas as pd
import pytest

from analyses.claims import judged_text, judged_wins, operating_point
from analyses.claims.power import Power
from analyses.evidence.scores import OVERALL, Curves, Judged
from mechsteer.measuring.sweeps import Sweep
from mechsteer.statistics.judging import Outcome

M = np.linspace(-8, 8, 17)
QUERIES = 40


def swept(method: str = "DiffMean", form: str = "vector", seed: int | None = None) -> Sweep:
    """Preference rises by one nat for each multiplier and utility falls by half a nat up to |m| = 4."""
    rng = np.random.default_rng(0)
    key = replace(drawn_study.STEERS[0], method=method, form=form, seed=seed)
    noise = rng.normal(size=(2, 1, 60))
    preference, utility = M[:, None] + noise[0], -3 - M[:, None] ** 2 / 32 + noise[1] / 10
    loss_positive = np.log1p(np.exp(-utility)) + np.log1p(np.exp(-preference))
    names, tokens = tuple(map(str, range(60))), np.full(60, 8)
    return Sweep(
        M, names, loss_positive, loss_positive + preference, tokens, tokens, np.abs(M)[:, None] * np.ones((1, 60)), key
    )


def judged(
    concept, coherence, sweep: Sweep | None = None, luck: float = 0.15, seed: int = 0, queries: int = QUERIES
) -> Judged:
    """Two samples of every query, whose scores scatter around functions of the multiplier."""
    rng, parts = np.random.default_rng(seed), []
    for aspect, size in (("concept", concept), ("coherence", coherence)):
        of_query = rng.normal(0, luck, size=(1, queries, 1))
        values = np.clip(size(M)[:, None, None] + of_query + rng.normal(0, luck, size=(len(M), queries, 2)), 0, 1)
        index = pd.MultiIndex.from_product(
            [M, [f"q{n:02}" for n in range(queries)], (0, 1)], names=["multiplier", "pair", "sample"]
        )
        rows = pd.DataFrame({"value": values.ravel()}, index=index).reset_index()
        parts.append(rows.assign(judge="j", aspect=aspect, role=aspect, failed="", named=False))
    return Judged(sweep or swept(), pd.concat(parts, ignore_index=True))


def rising(m):
    return 0.5 + np.tanh(m / 4) / 2.5


def holding(end: float):
    """Coherent up to there."""
    return lambda m: 0.85 - 0.1 * (np.abs(m) / end) ** 4


def outcomes(found) -> dict[str, Outcome]:
    return {claim.part: claim.outcome for claim in found.claims}


def test_text_that_goes_with_log_odds_supports_both():
    found = judged_text.run(judged(rising, holding(4.0), luck=0.05))
    assert outcomes(found) == {"concept": Outcome.SUPPORTED, "coherence": Outcome.SUPPORTED}, [
        c.because for c in found.claims
    ]
    assert set(found.tables["curve"].quantity) == {
        "preference gained",
        "utility lost",
        "concept",
        "coherence",
        "overall",
    }


def test_text_that_breaks_at_half_the_range_or_runs_against_preference_refutes():
    found = judged_text.run(judged(lambda m: rising(-m), holding(1.8), luck=0.05))
    assert outcomes(found) == {"concept": Outcome.REFUTED, "coherence": Outcome.REFUTED}


def test_a_judge_by_luck_decides_nothing():
    for seed in range(4):
        found = judged_text.run(judged(lambda m: 0.5 + 0 * m, lambda m: 0.5 + 0 * m, seed=seed))
        assert outcomes(found)["concept"] is Outcome.INCONCLUSIVE


def test_few_queries_decide_nothing():
    few = judged(rising, holding(4.0), queries=12)
    for run in (judged_text.run, operating_point.run):
        assert set(outcomes(run(few)).values()) == {Outcome.INCONCLUSIVE}


def test_an_operating_point_holds_where_text_does_and_not_where_it_breaks():
    good = operating_point.run(judged(rising, holding(6.0), luck=0.05))
    assert outcomes(good) == dict.fromkeys(("concept", "coherence", "best"), Outcome.SUPPORTED)
    assert good.tables["scores"].multiplier.unique() == pytest.approx([4.0], abs=1.0)
    broken = operating_point.run(judged(rising, holding(1.5), luck=0.05))
    assert outcomes(broken) == {"concept": Outcome.SUPPORTED, "coherence": Outcome.REFUTED, "best": Outcome.REFUTED}


def test_a_judge_that_finds_the_concept_nowhere_cannot_say_that_texts_lack_it():
    def concept(size):
        (found, *_) = operating_point.run(judged(size, holding(6.0), luck=0.05)).claims
        return found

    blind = concept(lambda m: 0.3 + 0 * m)
    assert blind.outcome is Outcome.INCONCLUSIVE and blind.because.endswith("this study cannot decide.")
    assert blind.interval.high < operating_point.MARGIN and "above m = 0" in blind.because
    # One that finds less of it than unsteered, and nowhere more, has seen that.
    assert concept(lambda m: 0.8 - 0.6 * (m > 1)).outcome is Outcome.REFUTED
    # One that finds it further out, where log-odds would not steer, has seen that it is missing here.
    assert concept(lambda m: 0.3 + 0.5 * (m > 6)).outcome is Outcome.REFUTED


@pytest.mark.slow
def test_the_power_that_an_operating_point_finds_of_itself_is_that_of_such_studies(monkeypatch):
    """The share of true worlds in which text that holds, and a multiplier than which none is better, are found."""
    powers: list[Power] = []

    def verdicts(seed: int) -> dict[str, Outcome]:
        flat = judged(lambda m: 0.5 + 0 * m, lambda m: 0.5 + 0 * m, luck=0.17, seed=seed, queries=24)
        return outcomes(operating_point.run(flat))

    monkeypatch.setattr(operating_point, "if_powerful", lambda found, claim, **_: powers.append(found) or claim)
    for seed in range(3):
        verdicts(seed)
    monkeypatch.setattr(operating_point, "_power", lambda *_: Power("", 1.0, 0.0))
    found = [verdicts(seed) for seed in range(50)]
    for part in ("coherence", "best"):
        predicted = np.mean([power.found for power in powers if power.truth == operating_point.TRUTHS[part]])
        assert predicted == pytest.approx(np.mean([one[part] is Outcome.SUPPORTED for one in found]), abs=0.2)
        assert 0.05 < predicted < 0.98


def test_the_best_of_luck_is_not_better_than_luck():
    """Of scores that do not depend on the multiplier, the best one found on all queries is high; the cross-fitted one is not."""
    found, naive = [], []
    for seed in range(60):
        values = np.random.default_rng(seed).normal(0.5, 0.2, size=(len(M), QUERIES))
        curves = Curves(M, tuple(map(str, range(QUERIES))), values)
        found.append(operating_point.cross_fitted(curves, 0)[1][0])
        naive.append(values.mean(axis=1)[M >= 0].max())
    assert abs(np.mean(found) - 0.5) < 0.01 < np.mean(naive) - 0.5 - 0.02


def test_what_queries_share_at_all_multipliers_is_no_luck_of_the_best():
    """Queries differ much, and each scores alike at every multiplier: no multiplier is better, whichever queries are drawn."""
    of_query = np.random.default_rng(0).normal(0.5, 0.2, size=(1, QUERIES))
    there, best = operating_point.cross_fitted(
        Curves(M, tuple(map(str, range(QUERIES))), np.tile(of_query, (len(M), 1))), 3
    )
    assert there.std() > 0.01 and np.abs(there - best).max() < 1e-12


def test_an_operating_point_does_not_lie_beyond_what_is_lost():
    """Utility that comes back at the last multiplier, with the most preference of all, is beyond the useful range."""
    sweep = swept()
    positive, negative = sweep.loss_positive.copy(), sweep.loss_negative.copy()
    positive[-1] = positive[sweep.zero]
    negative[-1] = positive[sweep.zero] + 20
    found = operating_point.point(
        judged(rising, holding(6.0), replace(sweep, loss_positive=positive, loss_negative=negative))
    )
    assert found == operating_point.point(judged(rising, holding(6.0))) < M[-1]


def test_a_best_multiplier_is_chosen_on_the_other_half_of_the_queries():
    even, odd = np.zeros(len(M)), np.zeros(len(M))
    even[-1], odd[-3], even[0] = 1.0, 0.5, 2.0  # The last is away from the concept.
    values = np.stack([even if query % 2 == 0 else odd for query in range(QUERIES)], axis=1)
    values[-3, 0] = np.nan
    found, multipliers = Curves(M, tuple(map(str, range(QUERIES))), values).at_best()
    assert multipliers.tolist() == [M[-3], M[-1]]
    assert np.isnan(found[0]) and not found[1:].any(), "each half does nothing at the other's best"


def test_where_no_multiplier_is_better_the_best_is_no_better_and_one_chosen_on_the_same_texts_would_be():
    luck = np.random.default_rng(0).random((200, len(M), QUERIES))
    curves = [Curves(M, tuple(map(str, range(QUERIES))), values) for values in luck]
    assert np.mean([item.at_best()[0].mean() for item in curves]) == pytest.approx(0.5, abs=0.01)
    assert np.mean([item.values.mean(axis=1).max() for item in curves]) > 0.55


def test_split_wins_by_text_where_it_writes_better_and_one_training_decides_nothing():
    better, worse = (lambda m: 0.8 + 0 * m), (lambda m: 0.6 + 0 * m)
    steers = [
        judged(rising if method == "SPLIT" else (lambda m: rising(m) - 0.15), better if method == "SPLIT" else worse,
               swept(method, "lora", seed), seed=10 * seed + len(method))
        for method in ("SPLIT", "SFT") for seed in range(3)
    ]  # fmt: skip
    found = judged_wins.run(steers)
    assert {(claim.part, claim.against): claim.outcome for claim in found.claims} == {
        (place, "SFT"): Outcome.SUPPORTED for place in ("m = 1", "equal utility", "best multiplier")
    }  # fmt: skip
    assert set(outcomes(judged_wins.run(steers[::3])).values()) == {Outcome.INCONCLUSIVE}
    assert judged_wins.run(steers[:3]).claims == ()
    scores = found.tables["scores"].set_index(["method", "place"])
    for row in found.tables["scores"].to_dict("records"):
        assert row["low"] < row["value"] < row["high"]
        if row["place"] != "best multiplier":
            of_seeds = [
                item.curves(OVERALL).at(row["multiplier"]) for item in steers if item.key.method == row["method"]
            ]
            assert row["value"] == pytest.approx(np.mean(of_seeds)), row
    assert set(scores.index) == {
        (method, place)
        for method in ("SPLIT", "SFT")
        for place in ("m = 0", "m = 1", "equal utility", "best multiplier")
    }
    assert scores.multiplier[:, "equal utility"].tolist() == pytest.approx([4.0, 4.0], abs=0.1)
    # A classifier knows the concept alone, and may not win by it.
    concept = [replace(item, scores=item.scores.loc[item.scores.role == "concept"]) for item in steers]
    for claim in judged_wins.run(concept).claims:
        assert claim.outcome is Outcome.INCONCLUSIVE and "nothing of coherence" in claim.because
