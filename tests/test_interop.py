"""The benchmark in which other programs judge our formats leaves no format out, and says what went wrong."""

import sys
from collections.abc import Callable
from pathlib import Path

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


def test_what_is_absent_fails_or_differs_is_said_and_ends_the_benchmark(tmp_path, monkeypatch, capsys):
    row = next(row for row in interop.ROWS if row.format == "easysteer" and row.is_answer)
    _, hook = interop.JUDGES["a hook"]
    monkeypatch.setattr(interop, "ROWS", (row,))

    def run(judge: Callable, module: str = "torch") -> tuple[int, str]:
        """The benchmark's code, and what its page says of the row."""
        monkeypatch.setattr(interop, "JUDGES", {"a hook": (module, judge)})
        code = 0
        try:
            interop.main(tmp_path / "page.md", "llama")
        except typer.Exit as end:
            code = end.exit_code
        (line,) = (line for line in (tmp_path / "page.md").read_text().splitlines() if "| answer |" in line)
        return code, line.split(" | ")[-1].removesuffix(" |")

    def fails(*given: object) -> torch.Tensor:
        raise KeyError("blocks")

    def differs(*given: object) -> torch.Tensor:
        logits = hook(*given)
        logits[:, 0] += 1e-2
        return logits

    code, close = run(hook)
    assert code == 0 and float(close) < 1e-6
    assert run(hook, "a_module_that_nobody_has") == (0, "absent")
    assert "a hook is not installed" in capsys.readouterr().err
    assert run(fails) == (1, "**KeyError**")
    assert "easysteer out, vector of an answer by a hook in llama: KeyError: 'blocks'" in capsys.readouterr().err
    code, far = run(differs)
    assert code == 1 and far.startswith("**") and 1e-5 < float(far.strip("*")) < 1e-2
    assert run(lambda *given: hook(*given) * float("nan")) == (1, "**nan**")
    # What a program is known to lack is no failure, but is looked at each time.
    monkeypatch.setattr(interop, "LACKS", {("a hook", "llama", None): "it has no Llama"})
    assert run(fails) == (0, "-") and run(hook)[0] == 0 and run(hook)[1] != "-"
