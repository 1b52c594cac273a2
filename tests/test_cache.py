"""The cache: what was made is found again, by one of several writers, whole or not at all."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest

import mechsteer as ms
from mechsteer.store.cache import cache_folder, cached


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("MECHSTEER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(folder: Path) -> None:
    (folder / "number").write_text("1")


def test_it_lies_where_the_platform_keeps_caches_unless_told_otherwise(monkeypatch, place):
    assert cache_folder() == place
    monkeypatch.delenv("MECHSTEER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/mechsteer")


def test_several_who_want_the_same_at_once_get_it_from_one_writer(place):
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        write(folder)
        sleep(0.2)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: cached("a/thing", {}, make), range(4)))
    assert found == [place / "a/thing"] * 4 and len(made) == 1
    assert (found[0] / "number").read_text() == "1"


def test_a_writer_that_fails_or_is_killed_leaves_nothing_that_could_be_taken_for_the_whole(place):
    def fail(folder: Path) -> None:
        write(folder)
        raise KeyError("power")

    with pytest.raises(KeyError):
        cached("a/thing", {}, fail)
    assert not [path for path in (place / "a").iterdir() if path.is_dir()]
    left = place / "a/.thing.12345.partial"
    left.mkdir()
    write(left)
    assert (cached("a/thing", {}, write) / "number").read_text() == "1"
    assert not left.exists()


def test_what_cannot_be_written_is_one_sentence(place):
    place.write_text("a file")
    with pytest.raises(ms.InputError, match="cannot be written.*MECHSTEER_CACHE"):
        cached("a/thing", {}, write)
