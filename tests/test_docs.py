"""README and docs are so: Python prints what it is said to print, commands run, links lead somewhere, nothing is left out."""

import inspect
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import drawn_campaign
import nbformat
import pytest
from nbclient import NotebookClient
from test_additions import MEMBERS

import mechsteer as ms
from analyses.claims import CLAIMS
from mechsteer import cli
from mechsteer.registry import forget_extensions

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
VERBS = {str(line.name): line for lines in cli.CONTENTS.values() for line in lines}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", flags=re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?")
CONSOLE = "console"
"""The language of a block of commands of which some need a GPU, a network, or somebody's file."""


def blocks(page: str, *languages: str) -> list[tuple[str, str]]:
    """Blocks in one of these languages, each with what it is said to print, "" where nothing is."""
    return [(code, shown) for language, code, shown in BLOCK.findall(PAGES[page]) if language in languages]


def commands(page: str, *languages: str) -> list[list[str]]:
    """Every command of ours in such blocks, as a shell takes it apart."""
    lines = "\n".join(code for code, _ in blocks(page, *languages)).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("mechsteer ")]


MEDIANS = blocks("docs/howto/adding.md", "python")[0][0]
"""A member that a page shows whole."""
PLAN = blocks("docs/howto/campaign.md", "toml")[0][0]
"""A plan that a page shows whole."""


# Python


@pytest.fixture
def one_guestbook(guestbook, monkeypatch):
    """Opened once for all pages; a steer leaves nothing behind."""
    load = ms.load_model
    monkeypatch.setattr(
        ms, "load_model", lambda model, *args, **more: guestbook if model == "guestbook" else load(model, *args, **more)
    )
    yield
    forget_extensions()


@pytest.mark.parametrize("page", [
    page if page == "README.md" else pytest.param(page, marks=pytest.mark.slow) for page in PAGES if blocks(page, "python")
])  # fmt: skip
def test_python_prints_what_it_is_said_to_print(page, one_guestbook, tmp_path, monkeypatch, capsys):
    """Words exactly, numbers within what another processor may change; blocks of a page go on from each other."""
    monkeypatch.chdir(tmp_path)
    Path("medians.py").write_text(MEDIANS)
    names = {"__name__": "page"}
    for code, shown in blocks(page, "python"):
        exec(compile(code, page, "exec"), names)
        told = capsys.readouterr().out
        if shown:
            assert NUMBER.sub("N", told) == NUMBER.sub("N", shown)
            found, expected = ([float(number) for number in NUMBER.findall(text)] for text in (told, shown))
            assert found == pytest.approx(expected, rel=0.1, abs=0.15), code


def test_every_public_function_is_called_in_an_example():
    examples = "\n".join(code for page in PAGES for code, _ in blocks(page, "python"))
    functions = [name for name in ms.__all__ if inspect.isfunction(inspect.unwrap(getattr(ms, name)))]
    assert "diff_mean" in functions and "Site" not in functions
    assert [name for name in functions if not re.search(rf"\bms\.{name}\(", examples)] == []


NOTEBOOKS = re.findall(r"\]\((\w+)\.ipynb\)", PAGES["docs/notebooks/README.md"])


def test_every_notebook_stands_on_their_page():
    assert sorted(NOTEBOOKS) == sorted(path.stem for path in (ROOT / "docs").rglob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
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


REAL = r"\$MECHSTEER_|mood\.safetensors"
ELSEWHERE = {
    r"google/|Qwen/": "needs the network, and a GPU",
    REAL: "needs a real model, which is no part of the project: where it lies, a test of its own runs them",
    r"layer_15\.pt": "needs a file of EasyEdit's and the model that it was learned on",
    r"classifier|local=": "needs a model that judges",
    r"^(serve|play) ": "does not end by itself: test_serving.py and test_play.py start them",
    r"SLURM": "needs an array of jobs: test_campaign.py runs shards",
    r"--executor ray": "needs Ray: test_cluster.py has it",
}
"""Why commands are parsed only, by what stands in them."""
DEAR = r"^(study|campaign|site) |exact"
"""What takes long, however small it is made here: a page that has it is run by `make slow`."""
LITTLE = {
    "train": ["--limit", "24"],
    "sweep": ["--limit", "24", "-m", "-2,0,2"],
    "site": ["--limit", "24"],
    "judge": ["--queries", "6", "--samples", "1"],
    "study": ["--limit=40", "--site=2:mlp.out", "--forms=vector", "--tune=1", "--steps=2", "--multipliers=-2:2:5", "--panel=0"],
}  # fmt: skip
"""What is added to the commands of a verb, so that they take seconds."""
STAND_INS = {"OWNER/NAME": "./shared"}
"""What a command names that is not here: a repository of the hub, in whose place a folder may stand."""


FIRST_WORDS = 5
MODULES = sorted({found for text in PAGES.values() for found in re.findall(r"`?python -m ([^`\n]+)", text)})


def elsewhere(words: list[str]) -> str:
    """Why a command is not run here, "" where it is."""
    return next((why for pattern, why in ELSEWHERE.items() if re.search(pattern, shlex.join(words))), "")


def run_little(mechsteer: Callable, verb: str, *arguments: str) -> None:
    """A command as it is told, but small."""
    arguments = tuple(STAND_INS.get(word, word) for word in arguments)
    has_no_steps = {"--epochs", "DiffMean"} & {*arguments}
    steps = ["--steps", "2"] if verb == "train" and not has_no_steps else []
    code, _, error = mechsteer(verb, *arguments, *LITTLE.get(verb, ()), *steps)
    assert code == 0, (verb, arguments, error)


def is_dear(words: list[str]) -> bool:
    return bool(re.search(DEAR, shlex.join(words))) and not {"--dry-run", "--status"} & {*words}


def to_run(page: str) -> list[list[str]]:
    """The commands of a page but for those that need what is not here."""
    return [words for words in commands(page, "", "bash", CONSOLE) if not elsewhere(words)]


@pytest.fixture
def workplace(page, tmp_path, monkeypatch, small_study, guestbook, mechsteer, undrawn):
    """A folder that holds whatever the pages name."""
    monkeypatch.chdir(tmp_path)
    told = to_run(page)
    for name in ("guestbook", "mine", "gemma", "other", "a", "b"):
        shutil.copytree(small_study, tmp_path / "results" / name)
    if not any(words[0] == "campaign" and is_dear(words) for words in told):
        for cell in drawn_campaign.write(tmp_path / "results/plan").cells:
            if cell["state"] == "done":
                shutil.copytree(small_study, tmp_path / "results/plan" / cell["name"])
    shutil.copytree(small_study.parent / ".store", tmp_path / "results/.store")
    shutil.copytree(ROOT / "docs/findings", tmp_path / "docs/findings")
    shutil.copy(ROOT / "docs/findings.md", tmp_path / "docs")
    pairs = ms.load_pairs("guestbook/sentiment")
    shutil.copytree(Path(ms.guestbook.__file__).parent / "model", tmp_path / "my-model")
    rows = [f"{pair.query},{pair.positive},{pair.negative},{index % 40}" for index, pair in enumerate(pairs)]
    (tmp_path / "odd.csv").write_text("\n".join(["ask,good,bad,theme", *rows]) + "\n")
    ms.save_pairs(pairs.sample(60), tmp_path / "pairs.jsonl")
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "medians.py").write_text(MEDIANS)
    (tmp_path / "margin.py").write_text(MEMBERS["objective"])
    ms.diff_mean(guestbook, pairs.sample(24), "1:resid_post").save("tense-vector.safetensors")
    mechsteer("export", "tense-vector.safetensors", "--to", "gguf-vector", "--out", "happy_diffmean.gguf")
    if "judge" in (verbs := [words[0] for words in told]) and "study" not in verbs:
        # The exact judge knows the guestbook's own pairs alone, and the small study's came from a file.
        mechsteer("study", "--out", "results/guestbook", *LITTLE["study"])


@pytest.mark.parametrize("page", [
    pytest.param(page, marks=[pytest.mark.slow] * any(map(is_dear, told))) for page in PAGES if (told := to_run(page))
])  # fmt: skip
def test_every_command_runs_on_what_those_before_it_left(page, workplace, mechsteer):
    """But for those that need what is not here. Studies, campaigns and searches of sites are made small."""
    for words in to_run(page):
        run_little(mechsteer, *words)


@pytest.mark.slow
def test_every_example_of_help_runs_on_what_those_before_it_left(
    tmp_path, monkeypatch, mechsteer, small_study, undrawn, few_claims
):
    """In a folder that holds nothing but what a campaign is told and leaves; what does not end by itself is not run."""
    monkeypatch.chdir(tmp_path)
    Path("plan.toml").write_text(PLAN)
    for cell in drawn_campaign.write(tmp_path / "results/plan").cells:
        if cell["state"] == "done":
            shutil.copytree(small_study, tmp_path / "results/plan" / cell["name"])
    for line in VERBS.values():
        for command in line.example.splitlines():
            _, *words = shlex.split(command)
            if not elsewhere(words):
                run_little(mechsteer, *words)
    assert {"guestbook.html", "lora.safetensors", "sweep.parquet", "findings.md"} <= {
        path.name for path in tmp_path.iterdir()
    }


@pytest.mark.slow
def test_a_real_model_writes_what_readme_shows(tmp_path, monkeypatch, mechsteer):
    """Texts begin with the same words; further on, another processor's rounding may turn them."""
    monkeypatch.chdir(tmp_path)
    train, generate = (words for words in commands("README.md", CONSOLE) if re.search(REAL, shlex.join(words)))
    for variable, file in re.findall(r"\$(MECHSTEER_\w+)/([^'\s]+)", shlex.join(train)):
        if variable not in os.environ:
            pytest.skip(f"{variable} names no folder")
        if not Path(os.environ[variable], file).is_file():
            pytest.skip(f"{variable} holds no {file}")
    for words in (train, [*generate, "--json"]):
        code, printed, error = mechsteer(*words)
        assert code == 0, error
    (answers,) = json.loads(printed)["answers"].values()
    rows = re.findall(r"^\| (-?[\d.]+) \| ([\d.]+) \| (.+) \|$", PAGES["README.md"], flags=re.MULTILINE)
    assert len(rows) == len(answers) == 5
    for (m, shift, text), answer in zip(rows, answers, strict=True):
        assert (answer["multiplier"], round(answer["relative_shift"], 2)) == (
            float(m),
            pytest.approx(float(shift), abs=0.011),
        )
        assert answer["text"].split()[:FIRST_WORDS] == text.split()[:FIRST_WORDS]


@pytest.mark.slow
@pytest.mark.parametrize("command", MODULES)
def test_every_module_that_is_run_by_its_name_takes_these_arguments(command, apart):
    """With --help it says so without running."""
    code, printed, error = apart("-m", *shlex.split(command), "--help")
    assert code == 0 and "Usage" in printed, error


def test_there_is_a_command_for_every_reason_not_to_run_one():
    told = [shlex.join(words) for page in PAGES for words in commands(page, "", "bash", CONSOLE)]
    for pattern in ELSEWHERE:
        assert any(re.search(pattern, line) for line in told), pattern


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


def test_every_page_stands_in_the_navigation():
    named = re.findall(r'= "([\w/]+\.md)"', (ROOT / "zensical.toml").read_text(encoding="utf-8"))
    assert sorted(f"docs/{page}" for page in named) == sorted(page for page in PAGES if page.startswith("docs/"))


def test_every_public_name_stands_on_the_page_of_the_api():
    named = re.findall(r"^::: mechsteer\.(\w+)$", PAGES["docs/api.md"], flags=re.MULTILINE)
    assert len(named) == len(set(named)) and set(named) == {name for name in ms.__all__ if not name.startswith("_")}


ROWS = re.findall(r"^\| `(.+?)` \| (.+) \|$", PAGES["docs/concepts/claims.md"], flags=re.MULTILINE)
"""Parts of claims, each with what supports and what refutes it."""


def test_every_part_of_a_claim_has_what_supports_and_what_refutes_it():
    assert all(words.count(" | ") == 1 for _, words in ROWS)
    parts = [
        f"{name}: {part}" if part else name
        for name, member in CLAIMS.members().items()
        for part in member.get("TITLES", ())
    ]
    assert sorted(name for name, _ in ROWS) == sorted(parts)


@pytest.mark.parametrize(("name", "words"), ROWS, ids=[name for name, _ in ROWS])
def test_bounds_of_a_claim_are_constants_of_its_file(name, words):
    """Or of our files from which it takes what it needs."""
    claim = import_module(f"analyses.claims.{name.split(':')[0]}")
    needed = {getattr(value, "__module__", "") or "" for value in vars(claim).values()} | {claim.__name__}
    if claim.__name__ == "analyses.claims.control":
        needed |= {"analyses.evidence.chance"}  # which measures at the losses that the claim is about
    constants = set(numbers_in([vars(import_module(module)) for module in needed if module.startswith(OURS)]))
    for number, percent in re.findall(r"(?<![\w.])(\d+(?:\.\d+)?)( %)?", re.sub(r"\*m\* = \d", "", words)):
        value = float(number) / (100 if percent else 1)
        assert any(value == pytest.approx(constant, rel=4e-3) for constant in {0.0, *constants}), number


OURS = ("analyses.claims", "analyses.evidence", "mechsteer.measuring")


def numbers_in(values):
    """Every number among nested constants."""
    for value in values:
        if isinstance(value, dict):
            yield from numbers_in(value[name] for name in value if not str(name).startswith("__"))
        elif isinstance(value, list | tuple):
            yield from numbers_in(value)
        elif isinstance(value, int | float):
            yield value
