"""Tuning: as many settings for every method, around the recipe's own, and the best one on pairs that are not reported."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mechsteer as ms
from analyses.studies.finished import Study
from analyses.studies.settings import Settings
from analyses.studies.study import run
from analyses.units.tuning import best_factors
from mechsteer.families import OBJECTIVES
from mechsteer.methods.tuning import COMMON, SEED, draw_factors, with_factors
from mechsteer.store.store import Store


@pytest.mark.parametrize("method", OBJECTIVES.members())
def test_settings_are_drawn_evenly_in_their_logarithm_within_a_fixed_factor(method):
    ranges = COMMON | OBJECTIVES[method].get("TUNED", {})
    assert draw_factors(method, 0, seed=3) == dict.fromkeys(ranges, 1.0)
    drawn = [draw_factors(method, trial, seed=3) for trial in range(1, 400)]
    assert drawn[0] == draw_factors(method, 1, seed=3) != draw_factors(method, 1, seed=4)
    for name, most in ranges.items():
        logs = np.log([factors[name] for factors in drawn]) / np.log(most)
        assert np.abs(logs).max() <= 1 and abs(logs.mean()) < 0.1 and logs.std() == pytest.approx(3**-0.5, abs=0.05)


@pytest.mark.parametrize("recipe", ["ours", "public"])
def test_factors_multiply_what_the_recipe_says_and_leave_the_rest(recipe):
    training = ms.TrainSettings(recipe=recipe, steps=7)
    factors = dict.fromkeys(draw_factors("SPLIT", 0, 0), 2.0)
    tuned, objective = with_factors(training, "SPLIT", "lora", factors)
    before, after = (settings.settled("SPLIT", "lora") for settings in (training, tuned))
    assert after.learning_rate == 2 * before.learning_rate and after.n_steps(100) == before.n_steps(100) == 7
    assert after.multipliers == tuple(2 * m for m in before.multipliers)
    base = ms.SPLIT.of("SPLIT", before.weights)
    assert (objective.margin, objective.preference_weight) == (2 * base.margin, 2 * base.preference_weight)
    assert objective.positive_weight == base.positive_weight


def test_the_setting_that_gains_most_is_taken_and_one_that_taught_nothing_is_none():
    tried = [
        {"gained": gained, "because": "It diverged.", "factors": {"n": n}}
        for n, gained in enumerate((1.0, None, 3.0, 2.0))
    ]
    assert best_factors(tried) == {"n": 2}
    with pytest.raises(ms.InputError, match="It diverged"):
        best_factors([tried[1]])


@pytest.fixture(scope="module")
def tuned(tmp_path_factory) -> Study:
    folder = tmp_path_factory.mktemp("tuned")
    pairs = ms.save_pairs(ms.load_pairs("guestbook/tense").sample(32), folder / "pairs.jsonl")
    settings = Settings(
        pairs=str(pairs), site="1:resid_post", multipliers="-8:8:5", methods=("DiffMean", "SFT", "SPLIT"), forms=("vector",),
        steps=4, tune=3, claims=(), device="cpu",
    )  # fmt: skip
    return run(settings, folder / "study", report=lambda line: None)


@pytest.mark.slow
def test_a_study_tries_as_many_settings_of_each_method_and_learns_by_the_best(tuned):
    table = tuned.table("tuning")
    assert table.groupby("method").trial.apply(list).to_dict() == {"SFT": [0, 1, 2], "SPLIT": [0, 1, 2]}
    for method, rows in table.groupby("method"):
        assert rows.best_of_so_many.tolist() == np.maximum.accumulate(rows.gained).tolist()
        best = rows.loc[rows.gained.idxmax()]
        path = next(Path(tuned.folder).glob(f"interventions/{method.lower()}-*.safetensors"))
        origin = ms.load_intervention(path).origin
        assert origin.settings["learning_rate"] == pytest.approx(0.03 * best.learning_rate)
        assert origin.seed == 0 != SEED
    assert "each the best of 3 settings" in tuned.summary["summary"]["comparison"][0]


@pytest.mark.slow
def test_what_is_not_tuned_says_so_and_more_settings_cost_what_is_new(tuned):
    asked = tuned.summary["settings"]
    settings = replace(Settings(pairs=asked["pairs"]), **{name: _as(value) for name, value in asked.items()})
    kinds = []
    for n in (4, 1):
        store = Store(tuned.folder.parent / ".store")
        before = {record.key for record in store.records()}
        found = run(replace(settings, tune=n), tuned.folder.parent / f"tuned{n}", report=lambda line: None)
        kinds.append([record.kind for record in store.records() if record.key not in before])
    assert kinds[0].count("trial") == 2 and kinds[1].count("trial") == 0
    assert "methods are untuned." in found.summary["summary"]["comparison"][0] and not found.sums.has("tuning.parquet")


def _as(value):
    return tuple(value) if isinstance(value, list) else value
