"""The README's example runs as it stands."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert "blocks.1.hook_out" in capsys.readouterr().out
    assert (tmp_path / "split.safetensors").exists()


def test_every_picture_is_there():
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README, flags=re.DOTALL):
        assert (Path(__file__).parents[1] / picture).is_file(), picture
