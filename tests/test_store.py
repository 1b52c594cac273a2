"""The store and its units, with units so small that every law can be seen."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from mechsteer import InputError
from mechsteer.store.keys import canonical
from mechsteer.store.store import Store
from mechsteer.store.units import Bench, Unit, in_order, label


@dataclass(frozen=True)
class Number(Unit[float]):
    value: float
    name: str = label()
    kind = "number"

    @property
    def words(self) -> str:
        return f"the number {self.value}"

    def compute(self, at: Bench) -> float:
        if self.value < 0:
            raise RuntimeError("no root")
        return self.value

    def save(self, value: float, folder: Path) -> None:
        (folder / "value.json").write_text(canonical(value))

    def load(self, folder: Path) -> float:
        return json.loads((folder / "value.json").read_text())


@dataclass(frozen=True)
class Sum(Number):
    parts: tuple[Number, ...] = ()
    kind = "sum"

    def compute(self, at: Bench) -> float:
        return sum(at.get(part) for part in self.parts)


class Newer(Number):
    version = 2


@pytest.fixture
def bench(tmp_path) -> Bench:
    store = Store(tmp_path / "store")
    store.prepare()
    return Bench(store)


def test_a_key_says_what_is_computed_and_from_what_and_not_how_it_is_called():
    assert Number(1.0).key == Number(1.0, "one").key != Number(2.0).key
    assert Newer(1.0).key != Number(1.0).key
    assert Sum(0.0, "", (Number(1.0),)).key != Sum(0.0, "", (Number(2.0),)).key
    assert Sum(0.0, "", (Number(1.0, "a"),)).key == Sum(0.0, "", (Number(1.0, "b"),)).key


def test_the_keys_of_today_are_those_of_tomorrow():
    """A key that changes by accident orphans every store."""
    assert Number(0.1).key == "e0016b74a7308d2459d8d231be69204e196594d64fc18e2e0985897a14a3db63"


def test_inputs_come_first_and_each_once():
    one, two = Number(1.0), Number(2.0)
    total = Sum(0.0, "", (one, two, one))
    assert in_order([total, one]) == [one, two, total]


def test_what_is_there_is_not_computed_again(bench):
    total = Sum(0.0, "", (Number(1.0), Number(2.0)))
    assert bench.get(total) == 3.0 and len(bench.computed) == 3
    again = Bench(bench.store)
    assert again.get(total) == 3.0 and not again.computed
    more = Sum(0.0, "", (Number(1.0), Number(2.0), Number(4.0)))
    assert again.get(more) == 7.0 and again.computed == [Number(4.0), more]


def test_a_failure_is_kept_with_its_traceback_counted_and_tried_again_on_request(bench):
    with pytest.raises(RuntimeError):
        bench.get(Number(-1.0))
    with pytest.raises(InputError, match="failed once before.*--retry") as said:
        bench.get(Number(-1.0))
    # As a worker tells its parent.
    assert str(pickle.loads(pickle.dumps(said.value))) == str(said.value)
    with pytest.raises(RuntimeError):
        Bench(bench.store, retry=True).get(Number(-1.0))
    failure = bench.store.failure(Number(-1.0).key)
    assert failure["tried"] == 2 and "RuntimeError: no root" in failure["traceback"]


def test_what_prunes_is_alone_and_waited_for(bench, caplog):
    store = bench.store
    with store.shared(), store.shared(), pytest.raises(InputError, match="A study is being made"), store.alone():
        pass
    with store._lock() as lock:
        assert lock.readable(), "over NFS, a lock that is shared needs that"
    begun = threading.Event()

    def study() -> None:
        with store.shared():
            begun.set()

    with store.alone():
        waiting = threading.Thread(target=study)
        waiting.start()
        assert not begun.wait(0.2)
    waiting.join(10)
    assert begun.is_set() and "Waiting until what prunes" in caplog.text


def test_what_is_finished_is_written_before_ctrl_c_is_answered(bench, monkeypatch):
    kept, unit = Number.save, Number(3.0)

    def interrupted(self: Number, value: float, folder: Path) -> None:
        signal.raise_signal(signal.SIGINT)
        kept(self, value, folder)

    monkeypatch.setattr(Number, "save", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            bench.place(unit)
    finally:
        signal.signal(signal.SIGINT, before)
    assert unit.key in bench.store and bench.get(unit) == 3.0


def test_two_writers_of_one_key_do_no_harm(bench):
    unit = Number(1.0)
    other = Bench(Store(bench.store.folder))

    def write(folder: Path) -> None:
        other.get(unit)  # the other one is faster
        unit.save(1.0, folder)

    bench.store.add(unit.key, {"kind": "number", "words": "", "seconds": 0, "made": 0}, write)
    assert bench.get(unit) == 1.0
    assert not list((bench.store.folder / "tmp").iterdir())


@pytest.mark.parametrize("where", ["while writing", "before the move"])
def test_a_kill_leaves_nothing_that_is_taken_for_a_result(tmp_path, where):
    code = f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from test_store import Number
        from mechsteer.store import store as module
        from mechsteer.store.units import Bench
        store = module.Store(Path({str(tmp_path)!r}) / "store")
        store.prepare()
        def die(*arguments):
            os.kill(os.getpid(), signal.SIGKILL)
        if {where!r} == "while writing":
            Number.save = die
        else:
            os.rename = die
        Bench(store).get(Number(1.0))
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=Path(__file__).parents[1])
    assert ended.returncode == -9
    store = Store(tmp_path / "store")
    assert list((store.folder / "tmp").iterdir()) and Number(1.0).key not in store
    store.prepare()
    assert not list((store.folder / "tmp").iterdir())
    assert Bench(store).get(Number(1.0)) == 1.0


def test_parts_go_whose_unit_was_killed_once_it_was_finished(bench):
    finished, begun = Number(1.0), Number(2.0)
    bench.get(finished)
    for unit in (finished, begun):
        bench.parts(unit).mkdir()
    bench.store.prepare()
    assert not bench.parts(finished).exists() and bench.parts(begun).is_dir()


def test_what_a_living_process_writes_is_left_alone(bench):
    mine = bench.store.folder / "tmp" / f"{socket.gethostname()}.{os.getpid()}.abc"
    mine.mkdir()
    bench.store.prepare()
    assert mine.is_dir()
    # Long before this process began, it was another's that had the number.
    os.utime(mine, (0, 0))
    bench.store.prepare()
    assert not mine.exists()


def test_a_process_that_was_killed_writes_no_more_though_nobody_has_asked_how_it_ended(bench):
    killed = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    left = bench.store.folder / "tmp" / f"{socket.gethostname()}.{killed.pid}.abc"
    left.mkdir()
    bench.store.tidy()
    assert left.is_dir()
    killed.kill()
    # Until it is asked, the system keeps its number.
    while psutil.Process(killed.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    bench.store.tidy()
    assert not left.exists()
    killed.wait()


@pytest.mark.parametrize("name", ["value.json", "record.json", "SHA256SUMS"])
@pytest.mark.parametrize("damage", [lambda path: path.write_text("2.0"), lambda path: path.unlink()])
def test_what_has_changed_in_the_store_is_not_read_but_made_again(bench, name, damage):
    unit = Number(1.0)
    bench.get(unit)
    damage(bench.store.place(unit.key) / name)
    again = Bench(bench.store)
    bench.store.prepare()
    assert again.get(unit) == 1.0 and again.computed == [unit]
    assert bench.store.is_whole(unit.key)


def test_a_folder_of_other_files_is_no_store(tmp_path):
    (tmp_path / "diary.txt").write_text("")
    with pytest.raises(InputError, match="holds other files"):
        Store(tmp_path).prepare()
    with pytest.raises(InputError, match="No results can be kept"):
        Store(tmp_path / "diary.txt" / "store").prepare()


def test_a_disk_that_is_full_is_no_failure_of_a_unit(bench, monkeypatch):
    def full(self, at):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(Number, "compute", full)
        bench.get(Number(1.0))
    assert bench.get(Number(1.0)) == 1.0


def test_results_are_listed_and_removed(bench):
    bench.get(Sum(0.0, "", (Number(1.0), Number(2.0))))
    records = list(bench.store.records())
    assert sorted(record.kind for record in records) == ["number", "number", "sum"]
    assert all(record.n_bytes > 0 for record in records)
    bench.store.remove(Number(1.0).key)
    assert Number(1.0).key not in bench.store and len(list(bench.store.records())) == 2


def test_parts_are_kept_until_the_unit_is_finished(bench):
    unit = Number(1.0)
    parts = bench.parts(unit)
    parts.mkdir(parents=True)
    (parts / "half").touch()
    bench.get(unit)
    assert not parts.exists()
