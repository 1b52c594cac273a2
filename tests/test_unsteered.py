"""What a model gives before a steer acts is computed once for the same pairs, where somebody holds the model alone."""

import numpy as np
import pytest
import torch

import mechsteer as ms
from mechsteer.engine import Prefix
from mechsteer.engine.unsteered import Unsteered, keep_unsteered
from mechsteer.guestbook import LANGUAGES

PAIRS = ms.load_pairs("guestbook/sentiment").sample(8, seed=0)
SITE = ms.Site(2, "mlp.out")


@pytest.fixture
def model() -> ms.Model:
    """One of this test's own, for what is kept is kept for all who hold it."""
    return ms.load_model(str(LANGUAGES["guestbook"].model_folder), device="cpu")


def steers() -> list[ms.SteeringVector]:
    draw = torch.Generator().manual_seed(0)
    return [ms.SteeringVector(SITE, torch.randn(128, generator=draw)) for _ in range(2)]


def measured(model: ms.Model) -> list[np.ndarray]:
    sweeps = [ms.run_sweep(model, steer, PAIRS, [-2.0, 0.0, 2.0], progress=False) for steer in steers()]
    learned = steers()
    for steer in learned:
        ms.train(model, steer, PAIRS, "SFT", ms.TrainSettings(steps=2), progress=False)
    return [sweep.loss_positive for sweep in sweeps] + [steer.direction.detach().numpy() for steer in learned]


def test_other_steers_on_the_same_pairs_do_not_run_what_lies_before_the_site(model, monkeypatch):
    ran, record = [], Prefix.record
    monkeypatch.setattr(Prefix, "record", lambda *args, **kwargs: ran.append(args[1]) or record(*args, **kwargs))
    measured(model)
    assert set(ran) == {SITE}
    n_each_time = len(ran)
    keep_unsteered(model)
    ran.clear()
    measured(model)
    n_first = len(ran)
    measured(model)
    # The two sweeps have the same batches, and so have the two trainings and what they measure first.
    assert 0 < n_first < n_each_time and len(ran) == n_first


@pytest.mark.slow
def test_numbers_are_those_that_are_computed_anew(model):
    expected = measured(model)
    keep_unsteered(model)
    for found, same, again in zip(measured(model), expected, measured(model), strict=True):
        assert np.array_equal(found, same) and np.array_equal(again, same)


def test_without_asking_a_change_of_weights_is_seen(model):
    (steer, _) = steers()
    before = ms.run_sweep(model, steer, PAIRS, [0.0], progress=False)
    with torch.no_grad():
        model.hf.model.layers[0].mlp.down_proj.weight.mul_(0.5)
    assert not np.allclose(ms.run_sweep(model, steer, PAIRS, [0.0], progress=False).loss_positive, before.loss_positive)


def test_the_values_used_last_stay():
    kept, computed = Unsteered(n_bytes=10), []

    def get(key: str, size: int = 4) -> str:
        return kept.get(key, lambda: computed.append(key) or key, lambda value: size)

    assert [get(key) for key in ("a", "b", "a", "c", "a", "b")] == ["a", "b", "a", "c", "a", "b"]
    assert computed == ["a", "b", "c", "b"]
    assert get("large", 11) == get("large", 11) == "large" and computed[4:] == ["large", "large"]
    assert get("a") == "a" and len(computed) == 6
