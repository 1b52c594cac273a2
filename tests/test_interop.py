"""The benchmark in which other programs judge our formats leaves no format out, and says what went wrong."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer

from mechsteer.formats.named import read_formats, written_formats

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import interop


def test_every_format_is_judged_in_each_direction_that_it_has():
    judged = {(row.format, row.direction) for row in interop.ROWS if row.format != "none"}
    assert judged == {(name, "in") for name in read_formats()} | {(name, "out") for name in written_formats()}
    assert {row.judge for row in interop.ROWS} == {*interop.JUDGES}
    # Of each program that can choose its tokens, once where an answer is steered.
    answers = {row.judge for row in interop.ROWS if row.is_answer}
    assert answers == {"llama.cpp", "steering-vectors", "a hook"}


ROW = next(row for row in interop.ROWS if row.format == "easysteer" and row.is_answer)
_, HOOK = interop.JUDGES["a hook"]


def fails(*given: object) -> torch.Tensor:
    raise KeyError("blocks")


def test_what_is_absent_fails_or_differs_is_told_apart(tmp_path, monkeypatch, capsys):
    family = interop.Family.opened("llama", tmp_path / "base")

    def cell(judge: Callable, module: str = "torch") -> tuple[str, bool]:
        monkeypatch.setattr(interop, "JUDGES", {"a hook": (module, judge)})
        found = interop.judged(ROW, family, tmp_path)
        return str(found), found.is_wrong

    def differs(*given: object) -> torch.Tensor:
        logits = HOOK(*given)
        logits[:, 0] += 1e-2
        return logits

    close, is_wrong = cell(HOOK)
    assert float(close) < 1e-6 and not is_wrong
    assert cell(HOOK, "a_module_that_nobody_has") == ("absent", False)
    assert cell(fails) == ("**KeyError**", True)
    assert "easysteer out, vector of an answer by a hook in llama: KeyError: 'blocks'" in capsys.readouterr().err
    far, is_wrong = cell(differs)
    assert is_wrong and 1e-5 < float(far.strip("*")) < 1e-2
    assert cell(lambda *given: HOOK(*given) * float("nan")) == ("**nan**", True)
    # What a program is known to lack is no failure, but is tried each time.
    monkeypatch.setattr(interop, "LACKS", {("a hook", "llama", None): "it has no Llama"})
    assert cell(fails) == ("-", False) and cell(HOOK) == (close, False)


def test_the_benchmark_fails_where_a_program_does_and_not_where_it_is_absent(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(interop, "ROWS", (ROW,))
    monkeypatch.setattr(interop, "JUDGES", {"a hook": ("a_module_that_nobody_has", HOOK)})
    interop.main(tmp_path / "page.md", "llama")
    assert "| answer | absent |" in (tmp_path / "page.md").read_text()
    assert "a hook is not installed" in capsys.readouterr().err
    monkeypatch.setattr(interop, "JUDGES", {"a hook": ("torch", fails)})
    with pytest.raises(typer.Exit) as end:
        interop.main(tmp_path / "page.md", "llama")
    assert end.value.exit_code == 1 and "| answer | **KeyError** |" in (tmp_path / "page.md").read_text()
