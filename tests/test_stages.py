"""Benchmarks of real shapes are those that were asked for, and stages are held against their own alternatives."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import stages  # noqa: E402
from speed import DEFAULT, MARKS, training_step  # noqa: E402
from workloads import WORKLOADS  # noqa: E402


def test_the_shapes_of_real_models_are_swept_and_taught_and_each_has_its_marks():
    smol, gemma = WORKLOADS["W5"], WORKLOADS["W6"]
    assert [(work.n_pairs, work.n_multipliers) for work in (smol, gemma)] == [(60, 21)] * 2
    assert {len(pair.positive) for pair in smol.pairs()} == {75} and smol.config().num_hidden_layers == 30
    assert gemma.config().vocab_size == 262_144
    for name in ("W5", "W6"):
        assert name in DEFAULT and training_step(name).startswith("W7,")
        for row in (f"{name}, sweep", training_step(name)):
            assert MARKS[row].floor == 1.25 and MARKS[row].megabytes == 150
    printed = {f"{name}, sweep" + end for name in DEFAULT for end in ("", " of completions only")}
    assert set(MARKS) <= printed | {training_step(name) for name in DEFAULT}


def test_evidence_is_held_against_the_longest_sweep_and_a_page_against_half_a_minute():
    units = [
        stages.Unit("sweep", 4.0),
        stages.Unit("sweep", 9.0),
        stages.Unit("evidence", 8.5),
        stages.Unit("fit", 70.0),
    ]
    evidence, page = stages.marks(units, {"finish": 31.0})
    assert (evidence.asked, evidence.reached) == (9.0, 8.5) and evidence.row().endswith("| yes |")
    assert page.row() == "| figures and page | <= 30 s | 31 s | no |"
    assert len(stages.marks(units[:2], {"finish": 1.0})) == 1


def test_without_models_no_stage_is_timed_and_that_is_said(monkeypatch, capsys):
    monkeypatch.delenv("MECHSTEER_MODELS", raising=False)
    monkeypatch.setattr(stages, "run", lambda *_: pytest.fail("a study was run"))
    assert stages.main([]) == 0
    assert "MECHSTEER_MODELS names no folder" in capsys.readouterr().err
