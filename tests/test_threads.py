"""How many threads PyTorch is given: no more than there are idle cores, and the numbers do not depend on it."""

import os
import time
from collections.abc import Iterator
from unittest.mock import Mock

import numpy as np
import pytest
import torch

import mechsteer as ms
from mechsteer.engine import Fast
from mechsteer.methods.teaching import Teaching
from mechsteer.models import threads


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Told:
    """Cores of which it is told how many are free."""

    def __init__(self, found: float):
        self.found = found

    def free(self) -> float:
        return self.found


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("found", "inside"), [(0.1, 1), (1.3, 1), (1.8, 2), (64.0, 2)])
def test_no_more_threads_than_idle_cores(monkeypatch: pytest.MonkeyPatch, found: float, inside: int):
    monkeypatch.setattr(threads, "_CORES", Told(found))
    with pytest.raises(KeyError), threads.on_idle_cores():
        assert torch.get_num_threads() == inside
        raise KeyError
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_what_the_environment_says_stays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(threads, "_CORES", Told(1.0))
    with threads.on_idle_cores():
        assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("own", "idle", "free"),
    [
        pytest.param(20.0, 0.0, 2.0, id="alone on both"),
        pytest.param(10.0, 10.0, 2.0, id="alone on one"),
        pytest.param(12.0, 0.0, 1.2, id="two threads and a busy process"),
        pytest.param(10.0, 0.0, 1.0, id="one thread and a busy process"),
    ],
)
def test_what_this_process_took_is_free_to_it(monkeypatch: pytest.MonkeyPatch, own: float, idle: float, free: float):
    now = time.monotonic()
    clocks = iter([threads._Clocks(now, 50 + own, 70 + idle)])
    monkeypatch.setattr(threads, "SHORTEST", 5.0)
    monkeypatch.setattr(threads._Clocks, "now", lambda: next(clocks))
    cores = threads._Cores(threads._Clocks(now - 10, 50.0, 70.0))
    assert cores.free() == pytest.approx(free)
    # Too soon to tell: what was found stays, and clocks are not read.
    assert cores.free() == pytest.approx(free)


@pytest.mark.usefixtures("two_threads")
def test_where_the_system_does_not_say_threads_stay_as_they_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(threads.psutil, "cpu_times", Mock(side_effect=PermissionError))
    monkeypatch.setattr(threads, "_CORES", threads._Cores())
    with threads.on_idle_cores():
        assert torch.get_num_threads() == 2


def test_what_this_process_computes_and_what_nobody_does_is_seen():
    before, begun = threads._Clocks.now(), time.process_time()
    while time.process_time() < begun + 0.1:
        pass
    after = threads._Clocks.now()
    assert before and after and after.own - before.own >= 0.1
    passed = after.wall - before.wall
    assert passed >= 0.05 and 0 <= after.idle - before.idle <= (os.cpu_count() or 1) * (passed + 0.1)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("what", ["a sweep", "training", "writing"])
def test_work_is_done_on_idle_cores(monkeypatch: pytest.MonkeyPatch, what: str):
    model, pairs = ms.load_model("guestbook"), ms.load_pairs("guestbook/tense")[:4]
    site, seen = ms.Site(2, "mlp.out"), []

    def spied(function):
        def spy(*args, **kwargs):
            seen.append(torch.get_num_threads())
            return function(*args, **kwargs)

        return spy

    monkeypatch.setattr(threads, "_CORES", Told(1.0))
    if what == "a sweep":
        monkeypatch.setattr(Fast, "sweep", spied(Fast.sweep))
        ms.run_sweep(model, ms.diff_mean(model, pairs, site), pairs, [0, 1], progress=False)
    elif what == "training":
        monkeypatch.setattr(Teaching, "losses", spied(Teaching.losses))
        ms.train(model, ms.SteeringVector.at(model, site), pairs, "SFT", ms.TrainSettings(steps=1), progress=False)
    else:
        monkeypatch.setattr(model.hf, "generate", spied(model.hf.generate))
        ms.generate(model, "the", max_new_tokens=2)
    # What comes before is a trial of the engine.
    assert seen[-1] == 1


@pytest.mark.usefixtures("two_threads")
def test_losses_are_the_same_on_one_thread_and_on_two(monkeypatch: pytest.MonkeyPatch):
    model, pairs = ms.load_model("guestbook"), ms.load_pairs("guestbook/tense")[:6]
    vector = ms.diff_mean(model, pairs, ms.Site(2, "mlp.out"))
    found = []
    for free in (1.0, 2.0):
        monkeypatch.setattr(threads, "_CORES", Told(free))
        found.append(ms.run_sweep(model, vector, pairs, [-1, 0, 1], progress=False))
    np.testing.assert_array_equal(found[0].loss_positive, found[1].loss_positive)
    np.testing.assert_array_equal(found[0].loss_negative, found[1].loss_negative)
