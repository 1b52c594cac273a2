"""README and docs are so: Python prints what it is said to print, commands run, links lead somewhere, nothing is left out."""

import os
import re
import shlex
import shutil
from pathlib import Path

import drawn_campaign
import nbformat
import pytest
from nbclient import NotebookClient

import mechsteer as ms
from analyses.claims import CLAIMS
from mechsteer import cli

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
VERBS = {str(line.name): line for lines in cli.CONTENTS.values() for line in lines}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", flags=re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?")
CONSOLE = "console"
"""The language of a block of commands that need a GPU, a network, or somebody's file."""


def blocks(page: str, *languages: str) -> list[tuple[str, str]]:
    """Blocks in one of these languages, each with what it is said to print, "" where nothing is."""
    return [(code, shown) for language, code, shown in BLOCK.findall(PAGES[page]) if language in languages]


def commands(page: str, *languages: str) -> list[list[str]]:
    """Every command of ours in such blocks, as a shell takes it apart."""
    lines = "\n".join(code for code, _ in blocks(page, *languages)).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("mechsteer ")]


# Python


@pytest.fixture
def one_guestbook(guestbook, monkeypatch):
    """Opened once for all pages; a steer leaves nothing behind."""
    load = ms.load_model
    monkeypatch.setattr(
        ms, "load_model", lambda model, *args, **more: guestbook if model == "guestbook" else load(model, *args, **more)
    )


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_prints_what_it_is_said_to_print(page, one_guestbook, tmp_path, monkeypatch, capsys):
    """Words exactly, numbers within what another processor may change; blocks of a page go on from each other."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for code, shown in blocks(page, "python"):
        exec(compile(code, page, "exec"), names)
        told = capsys.readouterr().out
        if shown:
            assert NUMBER.sub("N", told) == NUMBER.sub("N", shown)
            found, expected = ([float(number) for number in NUMBER.findall(text)] for text in (told, shown))
            assert found == pytest.approx(expected, rel=0.1, abs=0.15), code


@pytest.mark.parametrize("name", ["quickstart", "reading_a_study", "real_model"])
def test_every_notebook_runs(name, small_study, tmp_path, monkeypatch):
    if name == "real_model" and "MECHSTEER_MODELS" not in os.environ:
        pytest.skip("MECHSTEER_MODELS names no folder of real models")
    shutil.copytree(small_study, tmp_path / "results/guestbook")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(ROOT / f"docs/notebooks/{name}.ipynb", as_version=4)
    done = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert all(cell.outputs for cell in done.cells[-1:] if cell.cell_type == "code")


# Commands


@pytest.mark.parametrize("page", PAGES)
def test_every_command_parses(page):
    for verb, *arguments in commands(page, "", "bash", CONSOLE):
        VERBS[verb].make_context(verb, arguments)


LONG = {"study", "campaign", "judge", "site", "serve", "play", "push", "pull"}
"""Studies, their judges and the search of sites are tested elsewhere; servers do not end; a hub is far away."""
LITTLE = {"train": ["--limit", "24"], "sweep": ["--limit", "24", "-m", "-2,0,2"]}


@pytest.fixture
def workplace(tmp_path, monkeypatch, small_study):
    """A folder that holds whatever the pages name."""
    monkeypatch.chdir(tmp_path)
    for name in ("guestbook", "mine", "other", "a", "b"):
        shutil.copytree(small_study, tmp_path / "results" / name)
    for cell in drawn_campaign.write(tmp_path / "results/plan").cells:
        if cell["state"] == "done":
            shutil.copytree(small_study, tmp_path / "results/plan" / cell["name"])
    shutil.copytree(small_study.parent / ".store", tmp_path / "results/.store")
    pairs = ms.load_pairs("guestbook/sentiment")
    shutil.copytree(Path(ms.guestbook.__file__).parent / "model", tmp_path / "my-model")
    rows = [f"{pair.query},{pair.positive},{pair.negative},{index % 40}" for index, pair in enumerate(pairs)]
    (tmp_path / "odd.csv").write_text("\n".join(["ask,good,bad,theme", *rows]) + "\n")
    ms.save_pairs(pairs.sample(60), tmp_path / "pairs.jsonl")
    (tmp_path / "plan.toml").write_text(blocks("docs/howto/campaign.md", "toml")[0][0])
    (tmp_path / "medians.py").write_text(blocks("docs/howto/adding.md", "python")[0][0])


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page, "", "bash")])
def test_every_command_on_the_guestbook_runs(page, workplace, mechsteer, undrawn):
    for verb, *arguments in commands(page, "", "bash"):
        asks_only = {"--dry-run", "--status"} & {*arguments}
        if verb not in LONG or asks_only:
            steps = ["--steps", "2"] if verb == "train" and "--epochs" not in arguments else []
            code, _, error = mechsteer(verb, *arguments, *LITTLE.get(verb, ()), *steps)
            assert code == 0, (arguments, error)


def test_every_target_of_make_is_one():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for page, text in PAGES.items():
        assert set(re.findall(r"(?:^|`)make ([\w-]+)", text, flags=re.MULTILINE)) <= targets, page


# Links, and what a page must have


def test_every_link_and_picture_is_there():
    for page, text in PAGES.items():
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", BLOCK.sub("", text)):
            if not target.startswith("http"):
                assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_every_public_name_stands_on_the_page_of_the_api():
    named = re.findall(r"^::: mechsteer\.(\w+)$", PAGES["docs/api.md"], flags=re.MULTILINE)
    assert len(named) == len(set(named)) and set(named) == {name for name in ms.__all__ if not name.startswith("_")}


def test_every_part_of_a_claim_has_what_supports_and_what_refutes_it():
    rows = re.findall(r"^\| `(.+?)` \| .+ \| .+ \|$", PAGES["docs/concepts/claims.md"], flags=re.MULTILINE)
    parts = [
        f"{name}: {part}" if part else name
        for name, member in CLAIMS.members().items()
        for part in member.get("TITLES", ())
    ]
    assert sorted(rows) == sorted(parts)
