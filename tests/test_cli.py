"""The command line, as a person, a file and a program read it."""

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mechsteer as ms
from mechsteer import cli, progress
from mechsteer.cli import one_claim
from mechsteer.cli.printing import Table, echo, estimate, number
from mechsteer.store.store import Store
from mechsteer.store.sums import write_sums

ROOT = Path(__file__).parents[1]
LINES = {str(line.name): line for lines in cli.CONTENTS.values() for line in lines}
BOXES_AND_COLOURS = re.compile(r"[\u2500-\u259f\x1b]")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def terminal(monkeypatch, mechsteer):
    """Run the command line at a terminal that is 80 columns wide."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout.isatty", lambda: True, raising=False)
            for name, value in {"COLUMNS": "80", "TERM": "xterm-256color"}.items():
                patch.setenv(name, value)
            return mechsteer(*arguments)

    return call


@pytest.fixture
def vector(small_study) -> Path:
    return small_study / "interventions/diffmean-vector.safetensors"


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


# Help


def test_help_is_a_table_of_contents_with_a_line_for_each_verb(mechsteer, terminal):
    code, piped, _ = mechsteer("--help")
    _, shown, _ = terminal("--help")
    shown = without_colours(shown)
    assert code == 0 and "Options" in piped
    assert all(heading in shown for heading in cli.CONTENTS)
    for name, line in LINES.items():
        first = str(line.verb().help).splitlines()[0]
        for text in (shown, piped):
            assert re.search(rf"\b{name} +{re.escape(first)}", text), first
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("verb", LINES)
def test_every_verb_shows_an_example_that_can_be_copied(verb, mechsteer, terminal):
    for run in (mechsteer, terminal):
        _, text, _ = run(verb, "--help")
        shown = [line.strip(" `") for line in without_colours(text).splitlines()]
        assert {*LINES[verb].example.splitlines()} <= {*shown}


@pytest.mark.parametrize("verb", LINES)
def test_help_of_a_verb_is_a_screen_long_and_all_of_it_is_asked_for(verb, mechsteer, terminal):
    line = LINES[verb]
    own = line.verb()
    for run in (mechsteer, terminal):
        code, text, _ = run(verb, "--help")
        _, everything, _ = run(verb, "--help-all")
        assert code == 0 and len(text.splitlines()) < (40 if run is mechsteer else 80), text
        if isinstance(own, cli.verbs.Several) or run is terminal:  # which breaks long names
            continue
        assert not set(line.first) - {item.name for item in own.params}
        flags = {item.opts[0]: item.name for item in own.params if item.param_type_name == "option"}
        shown, told = (re.findall(r"(?<!\S)--[\w-]+", without_colours(some)) for some in (text, everything))
        assert flags.keys() <= set(told)
        first = {flag for flag, name in flags.items() if not line.first or name in line.first}
        assert first <= set(shown)
        if line.first:
            assert f"{len(flags) - len(first)} more options: `mechsteer {verb} --help-all`" in text


def test_a_text_that_reads_help_all_is_a_text(mechsteer):
    _, _, error = mechsteer("generate", "--intervention", "missing.safetensors", "--", "--help-all")
    assert "missing.safetensors" in error


@pytest.mark.parametrize("command", [one for line in LINES.values() for one in line.example.splitlines()])
def test_every_example_parses(command):
    name, verb, *arguments = shlex.split(command)
    assert name == "mechsteer"
    LINES[verb].make_context(verb, arguments)


def test_minus_h_is_help_and_no_verb_asks_which_there_are(mechsteer):
    for verb in ((), ("train",), ("store",), ("store", "prune")):
        assert mechsteer(*verb, "-h") == mechsteer(*verb, "--help")
    assert mechsteer() == mechsteer("--help") and mechsteer("store") == mechsteer("store", "--help")


def test_the_version_is_that_of_the_package(mechsteer):
    assert mechsteer("--version") == (0, f"mechsteer {importlib.metadata.version('mechsteer')}\n", "")


@pytest.mark.parametrize("verb", [(), ("study",), ("train",), ("show",), ("store",)])
def test_help_imports_nothing_that_it_does_not_show(verb):
    """Torch takes seconds; rich, pandas and pydantic, with which typer converts values, as long as all the rest of help."""
    code = f"""
import sys
from mechsteer import cli
sys.argv = ["mechsteer", *{verb!r}, "--help"]
try:
    cli.main()
except SystemExit as end:
    assert not end.code
sys.exit(", ".join({{"torch", "numpy", "pandas", "rich", "pydantic"}} & sys.modules.keys()) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "Usage" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("--foo", "No such option: --foo. See `mechsteer --help`."),
        ("trian", "No such command 'trian'. Did you mean 'train'? See `mechsteer --help`."),
        ("train --out v.safetensors", "Missing option '--site'. See `mechsteer train --help`."),
        ("train --site", "Option '--site' requires an argument."),
        ("train --site 1:mlp.out --out v.safetensors --steps none", "Invalid value for '--steps'"),
        ("store prune --older-than=-1", "Invalid value for '--older-than'"),
        ("show", "Missing argument 'DIR'. See `mechsteer show --help`."),
    ],
)
def test_a_mistake_in_the_options_is_one_sentence_that_says_where_they_are_described(command, words, mechsteer):
    code, printed, error = mechsteer(*command.split())
    assert code == 2 and not printed and words in error and error.startswith("mechsteer: ") and error.count("\n") == 1


# Tables


@pytest.mark.slow
def test_at_a_terminal_no_line_is_wider_and_no_word_is_broken(small_study, monkeypatch, mechsteer, terminal):
    monkeypatch.chdir(small_study.parent)
    for arguments in (("show", "small"), ("show", "small", "--details"), ("show", "small", "--claim", "linear_region")):
        _, piped, _ = mechsteer(*arguments)
        _, shown, _ = terminal(*arguments)
        assert "\x1b[" in shown
        lines = without_colours(shown).splitlines()
        assert max(map(len, lines)) <= 80
        words = {word for line in lines for word in BOXES_AND_COLOURS.sub("", line).split()}
        whole = set(piped.split())
        # A path may be longer than any line of a box has room for.
        paths = [word for word in whole if len(word) > 55]
        assert all(any(word in path for path in paths) for word in words - whole)


def test_what_is_piped_has_neither_boxes_nor_colours(small_study, monkeypatch, mechsteer):
    monkeypatch.setenv("FORCE_COLOR", "1")
    for arguments in (
        ("--help",),
        ("show", "--help"),
        ("show", small_study),
        ("show", small_study, "--details"),
        ("show", small_study, "--claim=linear_region"),
    ):
        code, printed, _ = mechsteer(*arguments)
        assert code == 0 and not BOXES_AND_COLOURS.search(printed)
        assert not [line for line in printed.splitlines() if line != line.rstrip()]


def test_a_table_keeps_words_that_look_like_markup_and_aligns_numbers_to_the_right(capsys):
    echo(Table.of("[b]", ("x", "m"), [("[red]a[/red]", "-1.5"), ("b", "10")]), "[0.1, 0.2]")
    assert capsys.readouterr().out.splitlines() == [
        "[b]",
        "x                m",
        "[red]a[/red]  -1.5",
        "b               10",
        "",
        "[0.1, 0.2]",
    ]


def test_numbers_keep_their_digits_and_go_without_exponents_where_they_can():
    assert [number(value) for value in (None, 0.0, 1.2345, -1234.5, 1.5e-7, 2.5e9)] == [
        "-", "0", "1.23", "-1234", "1.5e-07", "2.5e+09",
    ]  # fmt: skip
    assert estimate({"estimate": None, "low": None, "high": None}) == "-"
    assert estimate({"estimate": 299.3, "low": -2281.3, "high": None}, digits=2) == "299 [-2281, -]"


# Show


def test_show_needs_no_model_and_no_torch(small_study):
    code = f"""
import sys
from mechsteer.cli import main
sys.argv = ["mechsteer", "show", {str(small_study)!r}]
main_returned = None
try:
    main()
except SystemExit as end:
    assert not end.code
sys.exit("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "DiffMean vector" in done.stdout, done.stderr


def test_show_says_what_the_files_of_the_study_say_and_json_says_the_same(small_study, mechsteer):
    code, printed, _ = mechsteer("show", small_study, "--details")
    content = json.loads(mechsteer("show", small_study, "--json")[1])
    assert code == 0 and content["claims"] == json.loads((small_study / "claims.json").read_text())
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "linear_region: line supported 0.89 [0.85, 0.91] share of the span of preference" in lines
    assert "preference_curve: rivals refuted -0.44 [-0.5, -0.38] nats" in lines
    # A claim of every steer has a section, in which a row is a steer.
    at = lines.index("split_wins")
    assert lines[at + 1] == "DiffMean vector, against Random supported 0.025 [0.018, 0.032] share"

    frontier = pd.read_parquet(small_study / "frontier.parquet")
    assert len(content["frontier"]) == len(frontier)
    gained = frontier[(frontier.method == "DiffMean")].gained.tolist()
    assert " ".join(["DiffMean vector", *(f"{value:.1f}" for value in gained)]) in " ".join(lines)
    assert content["curves"]["preference"]["r_squared"] == pytest.approx(
        json.loads((small_study / "fits.json").read_text())[0]["preference"]["score"]["r_squared"]
    )


def test_the_time_of_every_stage_is_printed_at_the_end(small_study, mechsteer):
    *_, seconds, _ = mechsteer("show", small_study, "--details")[1].splitlines()
    spent = json.loads((small_study / "study.json").read_text())["seconds"]
    assert list(spent) and all(f"{stage} {time:.1f}" in seconds for stage, time in spent.items())
    assert seconds.endswith(f"in all {sum(spent.values()):.0f}.")


def test_a_claim_opens_as_its_sentences_its_table_and_its_figure(small_study, tmp_path, mechsteer):
    study = shutil.copytree(small_study, tmp_path / "study")
    (study / "figures").mkdir(exist_ok=True)
    for name in ("linear_region", ".linear_region.7.partial", "linear_regions_of_others"):
        (study / f"figures/{name}.png").touch()
    code, printed, _ = mechsteer("show", study, "--claim", "linear_region")
    assert code == 0
    for words in (
        "linear_region: line, DiffMean vector", "supported", "0.89 [0.85, 0.91] share of the span",
        "a straight line through the whole sweep", "Preference keeps to a straight line.",
        "claims/linear_region-regions.parquet: 3 rows", "-0.553  0.212", "figures/linear_region.png",
    ):  # fmt: skip
        assert words in printed, words
    assert "preference_curve" not in printed
    content = json.loads(mechsteer("show", study, "--claim", "linear_region: line", "--json")[1])
    assert content["claims"][0]["estimate"] == 0.89 and content["tables"][0]["rows"][0]["low"] == -9.5
    assert content["figures"] == [str(study / "figures/linear_region.png")]
    assert "p         0.013" in mechsteer("show", study, "--claim", "preference_curve")[1]
    drawn = json.loads(mechsteer("show", study, "--json")[1])["figures"]
    assert [Path(path).name for path in drawn] == ["linear_region.png", "linear_regions_of_others.png"]


def test_what_is_no_study_or_no_claim_is_one_sentence_and_exit_code_2(small_study, tmp_path, mechsteer):
    for arguments, words in {
        ("show", tmp_path): "holds no study.json",
        ("show", tmp_path / "nowhere"): "holds no study.json",
        ("show", small_study, "--claim", "gravity"): "Its claims are linear_region, preference_curve, split_wins",
        ("figures", tmp_path): "holds no study.json",
        ("report", tmp_path): "holds no study.json",
    }.items():
        code, printed, error = mechsteer(*arguments)
        assert code == 2 and not printed and words in error and error.count("\n") == 1


def test_a_wide_and_long_table_is_shown_in_part_and_says_so():
    rows = [{f"column_{name}": 1000.5 * row + name for name in range(20)} | {"same": "x"} for row in range(30)]
    shown = one_claim._rows("t.parquet", rows)
    assert len(shown.sections[""]) == 12 and shown.title == (
        f"t.parquet: 30 rows, of which 12, and {len(shown.columns)} of 20 columns"
    )
    assert sum(2 + max(map(len, ["column", *cells])) for cells in zip(*shown.sections[""], strict=True)) <= 80


# Pieces


def test_a_sweep_reads_unusual_columns_and_its_table_is_its_json(small_study, vector, tmp_path, mechsteer):
    pairs = ms.load_pairs(small_study.parent / "pairs.jsonl")[:6]
    usual, unusual = ms.save_pairs(pairs, tmp_path / "usual.jsonl"), tmp_path / "unusual.csv"
    pd.DataFrame([{"ask": pair.query, "good": pair.positive, "bad": pair.negative} for pair in pairs]).to_csv(unusual)
    asked = ("sweep", "--intervention", vector, "--multipliers=-4:4:3", "--device=cpu")
    code, printed, error = mechsteer(*asked, "--pairs", usual, "--out", tmp_path / "a.parquet")
    assert code == 0 and not error
    columns = "--columns=query=ask,positive=good,negative=bad"
    _, as_json, _ = mechsteer(*asked, "--pairs", unusual, columns, "--out", tmp_path / "b.parquet", "--json")
    means = json.loads(as_json)["means"]
    table = [line.split() for line in printed.splitlines() if re.match(r" *-?\d", line)]
    assert [float(m) for m, *_ in table] == [row["multiplier"] for row in means] == [-4, 0, 4]
    for (_, shift, preference, utility), row in zip(table, means, strict=True):
        assert (float(shift), float(preference), float(utility)) == pytest.approx(
            (row["relative_shift"], row["preference"], row["utility"]), abs=6e-4, rel=6e-3
        )
    found = ms.load_sweeps(tmp_path / "b.parquet")[0]
    assert [row["preference"] for row in means] == pytest.approx(found.preference.mean(axis=1))


@pytest.mark.slow
def test_a_steer_finds_its_model_and_multipliers_may_be_a_list(small_study, vector, tmp_path, mechsteer):
    pairs = small_study.parent / "pairs.jsonl"
    found = []
    for nth, written in enumerate((("--multipliers", "-4:4:3"), ("-m", "4,-4"), ("--multipliers=-4,0,4,4",))):
        out = tmp_path / f"{nth}.parquet"
        code, _, error = mechsteer(
            "sweep", "--intervention", vector, "--pairs", pairs, "--device=cpu", "--out", out, *written
        )
        assert code == 0, error
        found.append(pd.read_parquet(out))
    assert found[0].equals(found[1]) and found[0].equals(found[2])
    assert sorted(found[0].multiplier.unique()) == [-4, 0, 4]
    asked = ("generate", "--intervention", vector, "--device=cpu", "--json", "and the soup ?")
    by_list, by_many = mechsteer(*asked, "-m", "4,-4"), mechsteer(*asked, "-m", "4", "--multiplier", "-4")
    answers = json.loads(by_list[1])["answers"]["and the soup ?"]
    assert by_list == by_many and [answer["multiplier"] for answer in answers] == [4, -4]


def test_a_steer_that_names_no_model_or_one_that_is_gone_asks_for_it(vector, tmp_path, mechsteer):
    steer = ms.load_intervention(vector)
    for name, words in {"": "does not say which model", "./gone": "another needs --model"}.items():
        path = tmp_path / "v.safetensors"
        replace(steer, origin=replace(steer.origin, model=name)).save(path)
        code, printed, error = mechsteer("generate", "--intervention", path, "and the soup ?")
        assert code == 2 and not printed and words in error and "--model" in error
        assert mechsteer("generate", "--intervention", path, "--model=guestbook", "and the soup ?")[0] == 0


def test_a_group_is_a_column_of_the_file_and_what_has_no_use_is_refused(tmp_path, mechsteer):
    pairs = ms.load_pairs("guestbook/sentiment")[:4]
    rows = [{"query": pair.query, "positive": pair.positive, "negative": pair.negative} for pair in pairs]
    pd.DataFrame(rows).assign(theme="a").to_csv(tmp_path / "pairs.csv")
    asked = ("train", "--site=1:resid_post", "--method=DiffMean", "--device=cpu", "--out", tmp_path / "v.safetensors")
    assert mechsteer(*asked, "--pairs", tmp_path / "pairs.csv", "--group=theme")[0] == 0
    for wrong, words in {
        "--group=topics": "no topics",
        "--columns=good": "The column 'good' is not OURS=THEIRS",
        "--steps=9": "DiffMean is read off activations and not trained, so it has no use for --steps.",
        "--validation=guestbook/tense": "no use for --validation",
    }.items():
        code, _, error = mechsteer(*asked, "--pairs", tmp_path / "pairs.csv", wrong)
        assert code == 2 and words in error


@pytest.mark.parametrize(("more", "site"), [((), "1:mlp.bypass"), (("--no-bypass", "--directions=half"), "1:mlp.out")])
def test_train_by_a_recipe_but_for_what_is_asked(tmp_path, mechsteer, more, site):
    pairs = ms.save_pairs(ms.load_pairs("guestbook/sentiment").sample(8), tmp_path / "pairs.jsonl")
    out = tmp_path / "lora.safetensors"
    code, printed, error = mechsteer(
        "train", "--pairs", pairs, "--form=lora", "--site=1:mlp.out", "--recipe=public", "--steps=2", "--device=cpu",
        "--json", "--out", out, *more,
    )  # fmt: skip
    assert code == 0 and not error and json.loads(printed)["site"] == site
    said = ms.load_intervention(out).origin.settings
    assert said["recipe"] == "public" and said["independent_multipliers"] and said["steps"] == 2
    assert said["directions"] == ("half" if more else "add")
    code, _, error = mechsteer("train", "--pairs", pairs, "--site=1:mlp.out", "--recipe=private", "--out", out)
    assert code == 2 and "Choose ours, paper, public" in error


def test_train_says_in_json_what_it_says_in_words(tmp_path, mechsteer):
    pairs = ms.save_pairs(ms.load_pairs("guestbook/sentiment")[:8], tmp_path / "pairs.jsonl")
    asked = (
        "train", "--pairs", pairs, "--site=1:resid_post", "--steps=3", "--batch-size=2", "--device=cpu",
        "--out", tmp_path / "v.safetensors",
    )  # fmt: skip
    _, printed, _ = mechsteer(*asked)
    code, as_json, error = mechsteer(*asked, "--json")
    content = json.loads(as_json)
    assert code == 0 and not error and content["steps"] == 3
    assert f"loss {content['last_ten_steps']['loss']:.3f}" in printed
    history = pd.read_parquet(content["history"])
    assert content["last_ten_steps"]["preference"] == pytest.approx(history.preference.mean())


def test_generate_shows_each_prompt_with_its_multipliers_below_it(vector, mechsteer):
    asked = (
        "generate",
        "--intervention",
        vector,
        "-m",
        -6,
        "-m",
        6,
        "--device=cpu",
        "and the soup ?",
        "and the cafe ?",
    )
    _, printed, _ = mechsteer(*asked)
    content = json.loads(mechsteer(*asked, "--json")[1])
    lines = printed.splitlines()
    for prompt, answers in content["answers"].items():
        at = lines.index(prompt)
        for line, answer in zip(lines[at + 1 : at + 3], answers, strict=True):
            m, shift, text = line.split(maxsplit=2)
            assert (float(m), text) == (answer["multiplier"], answer["text"])
            assert float(shift) == pytest.approx(answer["relative_shift"], rel=6e-3)
    praised, complained = (
        ms.guestbook.check("and the soup ?", row["text"]) for row in content["answers"]["and the soup ?"]
    )
    assert praised.values["sentiment"] < complained.values["sentiment"]


def test_a_site_is_recommended_with_a_multiplier_and_the_table_it_comes_from(monkeypatch, mechsteer):
    layers = np.arange(20)
    table = pd.DataFrame({"layer": layers, "place": "resid_post", "hook": "hook", "layers_after": 19 - layers})
    table = table.assign(
        useful_gain=3.0 * layers, low=3.0 * layers - 4, high=3.0 * layers + 4, behind=3.0 * layers - 53
    )
    table = table.assign(useful_multiplier=4.0 + layers)
    monkeypatch.setattr(ms, "choose_site", lambda *pairs, layers_after, **more: ms.recommend_site(table, layers_after))
    # The last layer gains most, but the one before is not surely worse, and leaves one to read what is steered.
    content = json.loads(mechsteer("site", "--device=cpu", "--json")[1])
    assert content["site"] == "18:resid_post" and content["because"].endswith("there m = 22.")
    assert "19:resid_post gains 57.00 nats [53.00, 61.00], not surely more" in content["because"]
    assert [row["layer"] for row in content["sites"]] == list(range(19, -1, -1))
    title, _, *lines = mechsteer("site", "--device=cpu")[1].splitlines()
    assert title.startswith("The best 12 of 20 sites") and lines[0].split() == [
        "19:resid_post",
        "23",
        "57",
        "[53,",
        "61]",
        "0",
    ]
    assert "yes" in lines[2].split() and lines[11].startswith("8:resid_post") and content["because"] in lines
    for asked, site, said in ((0, "19:", "next best is 18:resid_post"), (9, "19:", "none has 9 layers after it")):
        content = json.loads(mechsteer("site", "--device=cpu", "--json", f"--layers-after={asked}")[1])
        assert content["site"].startswith(site) and said in content["because"]


# The whole job


@pytest.mark.slow
def test_study_prints_one_json_document_and_its_progress_beside_it(small_study, tmp_path, monkeypatch, mechsteer):
    monkeypatch.chdir(tmp_path)
    rows = [vars(pair) for pair in ms.load_pairs(small_study.parent / "pairs.jsonl")]
    unusual = pd.DataFrame(rows).rename(columns={"positive": "good", "negative": "bad", "group": "theme"})
    unusual.to_csv("pairs.csv", index=False)
    code, printed, error = mechsteer(
        "study", "--pairs=pairs.csv", "--columns=positive=good,negative=bad", "--group=theme", "--site=3:resid_mid",
        "--multipliers=-12:12:5", "--methods=DiffMean", "--claims=", "--device=cpu", "--json",
    )  # fmt: skip
    content = json.loads(printed)
    assert code == 0 and content["folder"] == "results/guestbook-pairs"
    assert [line.split()[0] for line in error.splitlines()][:6] == [
        "multipliers", "model", "pairs", "tokens", "check", "site",
    ]  # fmt: skip
    assert "5 are too few to fit the paper's curves, which need 12 or more" in error.splitlines()[0]
    assert list(content["seconds"])[-1] == "finish"
    assert "--columns=positive=good,negative=bad --group=theme" in content["command"]
    assert Path(content["report"]).is_file() and all(Path(figure).is_file() for figure in content["figures"])
    again = json.loads(mechsteer("show", content["folder"], "--json")[1])
    assert again == content


@pytest.mark.slow
def test_figures_and_report_are_made_again_without_a_model(small_study, tmp_path, monkeypatch, mechsteer):
    study = shutil.copytree(small_study, tmp_path / "study", ignore=shutil.ignore_patterns("claims*"))
    write_sums(study)
    monkeypatch.setattr("mechsteer.models.opening.load_model", None)
    code, printed, _ = mechsteer("figures", study)
    drawn = [Path(line) for line in printed.splitlines()]
    assert (
        code == 0
        and {path.suffix for path in drawn} == {".csv", ".pdf", ".png", ".tex", ".txt"}
        and all(path.is_file() for path in drawn)
    )
    code, printed, _ = mechsteer("report", study)
    assert code == 0 and Path(printed.strip()) == study / "report.html" and (study / "report.html").is_file()


@pytest.mark.slow
def test_ctrl_c_is_one_sentence_and_what_was_done_is_kept(small_study, tmp_path):
    """A real signal to a real process."""
    command = [
        sys.executable, "-m", "mechsteer", "study", "--pairs", str(small_study.parent / "pairs.jsonl"), "--device=cpu",
        "--methods=DiffMean", "--site=3:resid_mid", "--multipliers=-12:12:5", "--claims=", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, env=ENVIRONMENT, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # What runs in the background may have been told to pass the signal over.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("steers"):
            process.send_signal(signal.SIGINT)
            break
    printed, error = process.communicate(timeout=60)
    *_, last = error.splitlines()
    assert process.returncode == 130 and not printed and last.startswith("mechsteer: interrupted")
    assert "Traceback" not in error and not (tmp_path / "out").exists()
    assert "sweep" in {record.kind for record in Store(tmp_path / ".store").records()}


# Progress


def test_bars_stand_on_standard_error_of_a_terminal_and_say_how_long_is_left(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(progress, "_console", progress.Console(stderr=True, highlight=False))
    bar = progress.progress_bar
    with bar("Steers", 2) as outer, bar("Sweep", 3) as inner, bar("model", None):
        outer.advance()
        inner.advance("Sweep of SPLIT, with a description that is far too long for the line that it has here")
        assert progress._open is not None
        progress._open.refresh()
        progress.say("a line that stands above the bars", indent=4)
    printed, shown = capsys.readouterr()
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown))
    assert not printed and "a line that stands above the bars" in lines
    bars = [line for line in lines if "left" in line]
    assert any(line.startswith("Steers") and " 1/2 " in line for line in bars)
    assert any(line.startswith("Sweep of SPLIT") and " 1/3 " in line for line in bars)
    # Of how much there is nobody knows, but that it goes on.
    assert any(re.match(r"model .* 0:00:0\d gone", line) for line in lines)
    assert max(map(len, lines)) <= 80
    assert progress._open is None


def test_where_nobody_watches_there_is_a_line_a_minute_at_most(monkeypatch, capsys):
    now = iter([0.0, 20.0, 59.0, 61.0, 100.0, 122.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    with progress.progress_bar("Sweep", 10, done=2) as bar:
        for _ in range(5):
            bar.advance()
    assert capsys.readouterr().err.splitlines() == [
        "Sweep: 5 of 10, 0:01:01 gone, about 0:01:42 left",
        "Sweep: 7 of 10, 0:02:02 gone, about 0:01:13 left",
    ]
    with progress.progress_bar("Sweep", 10, show=False) as bar:
        bar.advance()
    assert capsys.readouterr().err == ""


def test_work_that_knows_better_says_how_long_is_left_and_how_much_there_is(monkeypatch, capsys):
    now = iter([0.0, 61.0, 122.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    with progress.progress_bar("Study", None) as bar:
        bar.advance("tokens")
        bar.add(8)
        bar.advance("claims", left=100.0)
    assert capsys.readouterr().err.splitlines() == [
        "tokens: 1 done, 0:01:01 gone", "claims: 2 of 9, 0:02:02 gone, about 0:01:40 left",
    ]  # fmt: skip
