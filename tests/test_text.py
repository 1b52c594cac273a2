"""What data say never moves, colours or floods a terminal."""

import json
import re

import pytest
from rich.console import Console

from mechsteer import InputError
from mechsteer.cli import printing
from mechsteer.text import LONGEST, shortened, visible, visible_json

ESCAPES = "red \x1b[31m title \x1b]0;OWNED\x07 c1 \x9b31m delete \x7f back \x08 half \udc80 turned \u202e end"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


@pytest.fixture(params=[True, False], ids=["terminal", "pipe"])
def printed(request, monkeypatch, capsys):
    """What a terminal, or a pipe, gets to see."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: request.param)
    # A terminal without colours, so that no control code is our own.
    monkeypatch.setattr("rich.console.Console", lambda **how: Console(**({"color_system": None, "width": 200} | how)))
    return lambda: capsys.readouterr().out


def test_no_control_code_of_data_is_printed(printed):
    printing.echo(ESCAPES, printing.Table(ESCAPES, (ESCAPES, "b"), {ESCAPES: [(ESCAPES, "1")]}))
    found = printed()
    assert not CONTROL.search(found) and found.count(r"\x1b[31m") == 5


def test_json_says_the_same_without_a_control_code(capsys):
    printing.echo_json({ESCAPES: [ESCAPES, "naïve Ωμέγα 漢字\n\ttab"]})
    found = capsys.readouterr().out
    assert not CONTROL.search(found) and json.loads(found) == {ESCAPES: [ESCAPES, "naïve Ωμέγα 漢字\n\ttab"]}


def test_what_is_harmless_stays_as_it_is():
    text = "naïve Ωμέγα 漢字 👩‍🚀 ‖shift‖/‖h‖\n\ttab"
    assert visible(text) == visible_json(text) == text


def test_an_error_is_one_line_of_bounded_length_that_keeps_its_beginning_and_its_end():
    error = InputError(f"The site {ESCAPES * 10_000!s}\nis not LAYER:PLACE. Write for example 3:resid_post.")
    said = str(error)
    assert not CONTROL.search(said) and "\n" not in said and len(said) < LONGEST + 50
    assert said.startswith("The site red") and said.endswith("Write for example 3:resid_post.")
    assert str(InputError("Short, and as it was.")) == "Short, and as it was."


@pytest.mark.parametrize("length", [10, LONGEST, LONGEST + 1, 10**6])
def test_what_is_cut_says_how_much(length):
    said = shortened("x" * length)
    cut = re.search(r"\((\d+) characters\)", said)
    assert said.count("x") + (int(cut[1]) if cut else 0) == length and len(said) <= LONGEST + 30
