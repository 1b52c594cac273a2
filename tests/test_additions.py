"""One file per addition: a throw-away member of every family is found in help, in a study, in its figures and on its page."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import judge_only

import figures
import mechsteer as ms
from mechsteer import cli

ROOT = Path(__file__).parents[1]
MEMBERS = {
    "objective": '''
"""Margin: the loser's loss per token may not be the lower one."""

from dataclasses import dataclass

from mechsteer import Objective

FAMILY = "objective"
NAME = "Margin"


@dataclass(frozen=True)
class Margin(Objective):
    name = "Margin"

    def __call__(self, losses):
        return (losses.win_per_token - losses.lose_per_token).mean()
''',
    "method": '''
"""Half of DiffMean."""

from dataclasses import replace

import mechsteer as ms

FAMILY = "method"
NAME = "Halved"
FORMS = ("vector",)


def learn(model, pairs, site, settings):
    vector = ms.diff_mean(model, pairs, site, prompt_format=settings.prompt_format)
    return replace(0.5 * vector, origin=replace(vector.origin, method="Halved"))
''',
    "form": '''
"""A scale: ΔW h = s ⊙ h."""

from dataclasses import dataclass

import torch

from mechsteer import Shift

FAMILY = "form"
NAME = "scale"
TITLE = "scale"


@dataclass(frozen=True, eq=False)
class Scale(Shift):
    factor: torch.Tensor

    form = "scale"

    def delta(self, h):
        return h * self.factor.to(h.device)

    @classmethod
    def init(cls, site, d_in, d_out, *, generator=None):
        return cls(site, torch.full((d_out,), 1e-3))

    def units(self, size_in, size_out):
        return {"factor": size_out / size_in}

    def as_weights(self, d_in, d_out):
        return torch.diag(self.factor.float()), torch.zeros(d_out)

    @property
    def widths(self):
        return len(self.factor), len(self.factor)
''',
    "recipe": '''
"""Small steps."""

FAMILY = "recipe"
NAME = "gentle"


def switches(method, form, experiment):
    return {"learning_rate": 0.01}
''',
    "rule": '''
"""Adds Δh as long as h: m is the relative shift."""

from dataclasses import dataclass

import torch

from mechsteer import Rule

FAMILY = "rule"
NAME = "match"
STRENGTH = "the relative shift itself"


@dataclass(frozen=True)
class Match(Rule):
    name = "match"
    is_linear = True

    def shift(self, moment):
        norm = torch.linalg.vector_norm
        size = norm(moment.value, dim=-1, keepdim=True) / norm(moment.delta, dim=-1, keepdim=True)
        return moment.m * size * moment.delta
''',
    "claim": '''
"""Utility is negative where nothing is steered: whole completions are unlikely."""

import pandas as pd
from matplotlib.figure import Figure

from analyses.claims.result import Result
from figures.drawing.panels import panels
from figures.drawing.saved import of_steer
from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, judge

FAMILY = "claim"
NAME = "unlikely"
SCOPE = "steer"
TITLES = {"": "Whole completions are unlikely"}
FIGURE = "unlikely"
DRAWS = True


def run(evidence):
    value = evidence.sweep.utility[evidence.sweep.zero]
    interval = ConfidenceInterval(float(value.min()), float(value.max()))
    outcome = judge(interval, (float("-inf"), 0.0))
    claim = Claim(NAME, "", evidence.key, float(value.mean()), "nats", interval, "zero", outcome, "So it is.")
    return Result((claim,), {"values": pd.DataFrame({"value": value, "unit": "nats"})})


def numbers(study, subject=None):
    return of_steer(study, "unlikely-values", subject)


def draw(study, ax=None, subject=None) -> Figure | None:
    table = numbers(study, subject)
    if table is None:
        return None
    with panels(ax, height=2.0) as shown:
        shown.axes[0].hist(table["value"])
    return shown.figure
''',
    "manifold": '''
"""The ball around the mean."""

from dataclasses import dataclass

import numpy as np

from mechsteer import Manifold

FAMILY = "manifold"
NAME = "Ball"
DISTANCE = "ball"


@dataclass(frozen=True, eq=False)
class Ball(Manifold):
    centre: np.ndarray

    unit = "activation"

    @classmethod
    def fit(cls, activations):
        return cls(activations.mean(axis=0), n_points=len(activations), n_duplicates=0)

    def distance(self, h):
        return np.linalg.norm(h - self.centre, axis=1)

    def nearest(self, h):
        return np.broadcast_to(self.centre, h.shape).copy()
''',
    "format": '''
"""A vector as lines of text."""

from pathlib import Path

import torch

import mechsteer as ms

FAMILY = "format"
NAME = "lines"
SUFFIXES = (".lines",)
ASKS = {}
SAYS = {"forms": ("vector",), "several": False}


def recognises(path):
    return path.suffix == ".lines"


def read(path):
    site, *numbers = path.read_text().split()
    return ms.SteeringVector(ms.Site.parse(site), torch.tensor([float(number) for number in numbers]))


def write(intervention, path):
    Path(path).write_text("\\n".join([str(intervention.site), *map(str, intervention.direction.tolist())]))
    return [Path(path)]
''',
}


FILES = ",".join(f"{name}.py" for name in MEMBERS)
HELP = """
import sys
from contextlib import suppress
from mechsteer import cli

files, *verbs = sys.argv[1:]
for verb in verbs:
    sys.argv = ["mechsteer", verb, "--extend", files, "--help-all"]
    with suppress(SystemExit):
        cli.main()
    print("\\0")
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """The folder with all of them, and a way to run Python there in a process of its own."""
    folder = tmp_path_factory.mktemp("additions")
    for name, text in MEMBERS.items():
        (folder / f"{name}.py").write_text(text.lstrip())
    ms.save_pairs(ms.load_pairs("guestbook/sentiment").sample(48), folder / "pairs.jsonl")
    # Beside a user's own files of these names, our rooms are still ours.
    for name in ("figures", "analyses"):
        (folder / f"{name}.py").write_text("raise RuntimeError('this is not the one')")
    paths = {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    environment = os.environ | paths | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return folder, python


@pytest.fixture
def call(extended, mechsteer, monkeypatch):
    """Run the command line in this process with all of them, in their folder."""
    monkeypatch.chdir(extended[0])

    def run(verb: str, *arguments: str) -> str:
        code, printed, error = mechsteer(verb, "--extend", FILES, *arguments)
        assert code == 0, error
        return printed

    return run


def test_help_lists_them(extended):
    _, python = extended
    verbs = ("study", "train", "sweep", "generate")
    printed = " ".join(python("-c", HELP, FILES, *verbs).replace("│", " ").split()).split("\0")
    of = dict(zip(verbs, printed, strict=False))
    assert all(word in of["train"] for word in ("Margin", "Halved", "scale", "gentle"))
    assert all(word in of["study"] for word in ("Margin", "unlikely", "gentle"))
    assert "lines" in of["generate"]
    assert all("match, the relative shift itself" in of[verb] for verb in verbs)


JUDGED = ("control", "one_operation", "off_manifold", "unlikely")
SHOWN = ("frontier", "distance", "unlikely")


@pytest.fixture(scope="module")
def study(extended):
    folder, _ = extended
    asked = (
        "mechsteer", "study", "--extend", FILES, "--pairs=pairs.jsonl", "--site=1:resid_post", "--multipliers=-6:6:5",
        "--methods=Halved,Margin", "--forms=vector,scale", "--claims=Halved-vector", "--recipe=gentle", "--steps=4",
        "--tune=1", "--device=cpu", "--panel=0", "--out=out",
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", list(asked))
        judge_only(patch, *JUDGED)
        all_figures = figures.all_figures
        patch.setattr(figures, "all_figures", lambda: {n: member for n, member in all_figures().items() if n in SHOWN})
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code
    return folder / "out"


@pytest.mark.slow
def test_a_study_learns_sweeps_and_judges_by_them(study):
    table = pd.read_parquet(study / "sweeps.parquet")
    assert set(zip(table.method, table.form, strict=True)) == {
        ("Halved", "vector"),
        ("Margin", "vector"),
        ("Margin", "scale"),
    }
    claims = pd.read_json(study / "claims.json")
    assert set(claims.outcome[claims.claim == "unlikely"]) == {"supported"}
    distances = pd.read_parquet(study / "claims/off_manifold-distance.parquet")
    assert "ball" in set(distances.distance)
    margin = ms.load_intervention(study / "interventions/margin-vector-seed0.safetensors")
    assert margin.origin.settings["learning_rate"] == 0.01 and margin.origin.settings["recipe"] == "gentle"
    # A form of one's own is one operation, too.
    operations = claims[(claims.claim == "one_operation") & (claims.form == "scale")]
    assert set(operations.outcome) == {"supported"}


def test_figures_and_the_page_show_them(study):
    assert {"Halved", "Margin"} <= set(pd.read_csv(study / "figures/frontier.csv").method)
    assert (study / "figures/unlikely.png").is_file()
    assert "ball" in set(pd.read_csv(study / "figures/distance.csv").distance)
    page = (study / "report.html").read_text()
    assert "Whole completions are unlikely" in page and "Margin" in page


@pytest.mark.slow
def test_a_study_at_two_sites_acts_by_the_rule_and_says_so(extended, call, undrawn, little_chance, monkeypatch):
    """At which the mean relative shift is m itself, at either site."""
    folder, _ = extended
    judge_only(monkeypatch, *JUDGED)
    call(
        "study", "--pairs=pairs.jsonl", "--site=1:resid_post,2:mlp.out", "--rule=match", "--multipliers=-1:1:3",
        "--methods=Halved", "--forms=vector", "--claims=Halved-vector", "--device=cpu", "--out=ruled",
    )  # fmt: skip
    table = pd.read_parquet(folder / "ruled/sweeps.parquet")
    assert set(table.rule) == {"match"} and set(table.site if "site" in table else table.sites) == {
        "1:resid_post,2:mlp.out"
    }
    for site in ("1:resid_post", "2:mlp.out"):
        assert abs(table[f"relative_shift at {site}"] - table.multiplier.abs()).max() < 1e-5
    claims = pd.read_json(folder / "ruled/claims.json")
    undecided = claims[claims.because.str.contains("acts at 1:resid_post,2:mlp.out by the rule match")]
    assert {"unlikely", "off_manifold"} <= set(undecided.claim) and set(undecided.outcome) == {"inconclusive"}
    page = (folder / "ruled/report.html").read_text()
    assert "1:resid_post,2:mlp.out by match" in page
    made = call(
        "generate", "--intervention=ruled/interventions/halved-vector.safetensors", "--device=cpu", "how was it ?"
    )
    assert "1:resid_post,2:mlp.out" in made


@pytest.mark.slow
def test_their_content_is_part_of_what_they_make(extended, study, call, undrawn):
    folder, _ = extended
    asked = (
        "study", "--pairs=pairs.jsonl", "--site=1:resid_post", "--multipliers=-6:6:5", "--methods=Halved,Margin",
        "--forms=vector,scale", "--claims=", "--recipe=gentle", "--steps=4", "--tune=1", "--device=cpu", "--out=again",
    )  # fmt: skip
    before = set((folder / ".store").glob("??/*"))
    (folder / "method.py").write_text(MEMBERS["method"].replace("0.5 * vector", "0.25 * vector").lstrip())
    call(*asked)
    made = {path for path in set((folder / ".store").glob("??/*")) - before}
    kinds = [json.loads((path / "record.json").read_text())["kind"] for path in made]
    assert kinds.count("steer") == 1 and kinds.count("sweep") == 1


def test_a_steer_in_a_format_of_ones_own_is_opened(extended, call):
    folder, _ = extended
    (folder / "v.lines").write_text("1:resid_post\n" + "\n".join(["0.0"] * 128))
    asked = ("--intervention=v.lines", "--model=guestbook", "--device=cpu", "how was the soup ?")
    assert "vector at 1:resid_post" in call("generate", *asked)
