"""Asking for a concept in words: what it gains and loses, by the guestbook's own probabilities, and against steers."""

import numpy as np
import pandas as pd
import pytest
from worlds.losses import sweep_of

import mechsteer as ms
from analyses.evidence import prompting
from analyses.evidence.side_effects import by_layer
from mechsteer import guestbook as house
from mechsteer.pairs.asking import Asking


@pytest.mark.parametrize("concept", house.CONCEPTS)
@pytest.mark.parametrize("side", [-1, 1])
def test_the_line_that_asks_reveals_one_side_of_one_concept(concept, side):
    query = f"{house.reveal(concept, side)} what about the soup ?"
    assert house.revealed(query) == {concept: side}


@pytest.mark.slow
def test_asking_costs_what_the_language_says(guestbook):
    """The loss of utility is that of the exact probabilities; preference is theirs too, but for what the model is unsure of."""
    pairs = house.pairs("sentiment", 40, seed=3)
    asking = Asking(*(house.reveal("sentiment", side) + " {query}" for side in (-1, 1)))
    vector = ms.diff_mean(guestbook, pairs, "1:resid_post")
    sweep = ms.run_sweep(guestbook, vector, pairs, [-1.0, 0.0, 1.0], progress=False)
    asked = prompting.ask(guestbook, vector, pairs, sweep, asking)

    def log_useful(some):
        return np.array(
            [
                np.logaddexp(*(house.log_probability(text, pair.query) for text in (pair.positive, pair.negative)))
                for pair in some
            ]
        )

    for side in ("negative", "positive"):
        exact = (log_useful(pairs) - log_useful(asking.of(side, pairs))).mean()
        found = asked.loc[asked.side == side]
        assert found.lost.mean() == pytest.approx(exact, abs=0.1)
        assert found.gained.mean() > 4
    table = prompting.summarise(asked, asking)
    assert table.side.tolist() == ["negative", "positive", "both"]
    assert (table.gained_low < table.gained).all() and (table.gained < table.gained_high).all()


def world(slope: float, n_pairs: int = 200):
    """A steer that gains `slope` nats per m and loses half a nat at |m| = 1; asking gains four and loses as much."""
    rng = np.random.default_rng(0)
    grid = np.linspace(-2, 2, 41)
    preference = slope * grid[:, None] + rng.normal(0, 0.5, n_pairs)
    sweep = sweep_of(grid, preference, -20 - 0.5 * grid[:, None] ** 2 * np.ones(n_pairs))
    rows = [
        pd.DataFrame({"side": side, "pair": sweep.pairs, "gained": 4 + rng.normal(0, 0.5, n_pairs), "lost": 0.5})
        for side in ("negative", "positive")
    ]
    return sweep, pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize(("slope", "wins"), [(6.0, True), (2.0, False)])
def test_a_steer_is_set_against_asking_at_the_same_loss(slope, wins):
    sweep, asked = world(slope)
    (row,) = prompting.against_steers([sweep], asked).itertuples()
    assert row.gained == pytest.approx(slope, rel=0.02) and row.difference == pytest.approx(slope - 4, abs=0.2)
    assert row.low > 0 if wins else row.high < 0
    said = prompting.sentence(
        prompting.summarise(asked, Asking("no {query}", "yes {query}")), pd.DataFrame([row._asdict()])
    )
    assert ("1 of 1 steers gain more" if wins else "no steer gains significantly more") in said


def test_asking_says_where_the_query_stands(mechsteer, tmp_path):
    code, _, said = mechsteer(
        "study", "--ask-for", "be kind", "--ask-against", "{query} be curt", "--out", tmp_path / "s"
    )
    assert code == 2 and "be kind" in said and "{query}" in said
    code, _, said = mechsteer("study", "--ask-for", "be kind {query}", "--out", tmp_path / "s")
    assert code == 2 and "--ask-against" in said


@pytest.mark.slow
def test_side_effects_are_told_of_every_layer(guestbook):
    pairs, other = house.pairs("sentiment", 40), house.pairs("tense", 12)
    sites = ms.choose_site(guestbook, pairs, places=("resid_post",), max_pairs=10, progress=False).table
    found = by_layer(guestbook, pairs, sites, "resid_post", [other])
    assert found.groupby("layer").size().to_dict() == {0: 2, 1: 2, 2: 2, 3: 2}
    layer = found.loc[found.layer == 2].sort_values("multiplier")
    assert (np.sign(layer.multiplier) == [-1, 1]).all()
    # The same by hand: the vector of that layer, learned from the half that the choice learned from.
    vector = ms.diff_mean(guestbook, pairs.split(0.5, seed=0)[0], "2:resid_post")
    sweep = ms.run_sweep(guestbook, vector, other, [0.0, *layer.multiplier], progress=False)
    moved = sweep.preference.mean(axis=1) - sweep.preference[sweep.zero].mean()
    np.testing.assert_allclose(layer.preference_change, moved[[0, 2]], atol=1e-4)
    own = ms.run_sweep(guestbook, vector, pairs.split(0.5, seed=0)[1], [0.0, *layer.multiplier], progress=False)
    assert 0.1 < own.lost[[0, 2]].mean() < 1.5


def test_accuracy_is_the_share_of_pairs_on_the_side_that_is_steered_to():
    grid = np.array([-1.0, 0.0, 1.0])
    sweep = sweep_of(grid, np.array([[-1.0, -1.0], [0.0, 1.0], [3.0, 3.0]]), np.full((3, 2), -9.0))
    np.testing.assert_allclose(sweep.accuracy_at(grid), [0, 0.75, 1])
    np.testing.assert_allclose(sweep.accuracy_at(grid, -1), [1, 0.25, 0])
    found = ms.frontier([sweep])
    assert found.accuracy.shape == (2, len(found.budgets)) and (found.accuracy <= 1).all()
