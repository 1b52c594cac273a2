"""The README's examples and the walk-through run as they stand, and print what they say they print."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WALKTHROUGH = (ROOT / "docs/walkthrough.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?")


END = "-- the end of a block --"


def printed(apart, blocks: list[str]) -> list[str]:
    """What each of these blocks of code prints when they run one after the other."""
    code, told, error = apart("-c", "".join(f"{block}\nprint({END!r})\n" for block in blocks))
    assert code == 0, error
    return told.split(f"{END}\n")[:-1]


def test_the_examples_run_one_after_the_other(tmp_path, apart):
    told = "".join(printed(apart, re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)))
    assert "blocks.1.hook_out" in told and "blocks.2.mlp.out.hook_out" in told
    assert (tmp_path / "split.safetensors").exists()


def test_the_walkthrough_prints_what_it_shows(tmp_path, apart):
    """Words exactly, numbers within what another processor may change."""
    blocks = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", WALKTHROUGH, flags=re.DOTALL)
    assert len(blocks) == WALKTHROUGH.count("```python") and all(shown for _, shown in blocks)
    for (code, shown), told in zip(blocks, printed(apart, [code for code, _ in blocks]), strict=True):
        assert NUMBER.sub("N", told) == NUMBER.sub("N", shown)
        found, expected = ([float(number) for number in NUMBER.findall(text)] for text in (told, shown))
        assert found == pytest.approx(expected, rel=0.1, abs=0.15), code
    assert (tmp_path / "praise/report.html").is_file()


def test_every_picture_is_there():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README, flags=re.DOTALL):
        assert (ROOT / picture).is_file(), picture
