"""Who may import whom: mechsteer <- analyses <- figures <- cli, and evidence needs no model."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from tree import BEGIN, CONTRIBUTING, END, tree

ROOT = Path(__file__).parents[1]
PACKAGES = ("mechsteer", "analyses", "figures")
FRONT_DOOR = ROOT / "mechsteer/cli"
"""The one room that may import every other."""
EVIDENCE = (
    "mechsteer/pairs", "mechsteer/measuring/sweeps.py", "mechsteer/measuring/log_odds.py", "mechsteer/measuring/frontier.py",
    "mechsteer/curves", "mechsteer/statistics", "mechsteer/manifolds",
)  # fmt: skip
MODEL_SIDE = ("torch", "transformers", "transformer_lens")


def files(*places: str) -> list[Path]:
    found = [
        path for place in places for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
    ]
    assert found, f"{places} hold no Python files"
    return found


def imports(path: Path) -> set[str]:
    """Absolute names of all modules that a file imports, inside functions too."""
    package = path.relative_to(ROOT).parent.parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{stem}.{alias.name}" for alias in node.names} | {stem}
    return names


@pytest.mark.parametrize(("package", "later"), [("mechsteer", ("analyses", "figures")), ("analyses", ("figures",))])
def test_each_package_imports_only_what_stands_before_it(package, later):
    for path in files(package):
        if FRONT_DOOR not in path.parents:
            assert not {name for name in imports(path) if name.split(".")[0] in later}, path


@pytest.mark.parametrize(
    ("rooms", "later"), [(("evidence", "claims"), ("units", "studies")), (("units",), ("studies",))]
)
def test_claims_know_no_units_and_units_know_no_studies(rooms, later):
    for path in files(*(f"analyses/{room}" for room in rooms)):
        assert not {name for name in imports(path) if name.startswith(tuple(f"analyses.{room}" for room in later))}, (
            path
        )


def test_every_package_that_is_imported_is_declared():
    """Also those that another dependency happens to bring."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for extra in ("ray", "serve", "judge") for one in extras[extra])]
    declared = {re.match(r"[\w.-]+", one)[0].lower() for one in wanted}
    brought_by = packages_distributions()
    for path in files(*PACKAGES):
        names = {name.split(".")[0] for name in imports(path)} - {*PACKAGES, "", *sys.stdlib_module_names}
        for name in names:
            packages = {package.lower().replace("_", "-") for package in brought_by.get(name, [name])}
            assert packages & declared, f"{path} imports {name}"


def test_nothing_imports_the_command_line():
    for path in files(*PACKAGES):
        if path.name != "__main__.py" and FRONT_DOOR not in path.parents:
            assert not {name for name in imports(path) if name.startswith("mechsteer.cli")}, path


def test_evidence_imports_neither_torch_nor_the_model_side():
    model_side = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in files("mechsteer")
        if any(name.split(".")[0] in MODEL_SIDE for name in imports(path))
    }
    assert "mechsteer.models.model" in model_side
    for path in files(*EVIDENCE):
        taken = imports(path)
        assert not {name for name in taken if name.split(".")[0] in MODEL_SIDE}, path
        assert not taken & model_side, path


USED = """
import sys

import numpy as np
from mechsteer.curves import UtilityCurve, ValidityDecay, fit_curve
from mechsteer.families import MANIFOLDS
from mechsteer.measuring.frontier import frontier
from mechsteer.measuring.recommended_site import recommend_site
from mechsteer.measuring.sweeps import Sweep
from mechsteer.pairs.reading import load_pairs
from mechsteer.statistics.intervals import percentile_interval
from mechsteer.store.keys import Key
from analyses.claims import CLAIMS, verdict
from analyses.studies import again, finished, plan, study
from analyses.units import looks, steers, sweeps, verdicts
from analyses.verdict import verdicts_of

rng = np.random.default_rng(0)
points = rng.normal(size=(200, 4))
for name in MANIFOLDS.members():
    assert MANIFOLDS.load(name).fit(points).distance(points + 1).shape == (200,)
m = np.linspace(-4, 4, 21)
values = -20 + 5 * np.exp(-(m[:, None] ** 2)) + rng.normal(size=(21, 6)) / 10
fit_curve(UtilityCurve, m, values, n_starts=2, n_resamples=0)
for claim in CLAIMS.members().values():
    claim.module()
assert len(load_pairs("guestbook/tense"))
sys.exit("torch" in sys.modules)
"""


def test_evidence_is_read_fitted_and_judged_without_torch():
    done = subprocess.run([sys.executable, "-c", USED], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr or "torch was loaded"


READS_WHAT_A_USER_WROTE = {
    "analyses/studies/settings.py", "analyses/studies/plan.py", "mechsteer/cli/options.py", "mechsteer/cli/members.py",
    "mechsteer/cli/campaign.py",
    "analyses/studies/configuration.py",
}  # fmt: skip
"""Options are words that a user wrote: METHOD-FORM, OURS=THEIRS, guestbook/CONCEPT, FILE,FILE, 3/8."""
PARSING = re.compile(
    r"""\.r?partition\(|\.r?split\(["'](?!\\n)|\bre\.(match|search|fullmatch|split|findall)\(|\.str\.(split|extract)"""
)
FIELDS_OF_AN_ARCHIVE = 'group, _, rest = name.rpartition(".")'


def test_nothing_is_found_by_taking_a_name_apart():
    for path in files("analyses", "figures", "mechsteer/cli"):
        name = path.relative_to(ROOT).as_posix()
        source = path.read_text(encoding="utf-8").replace(FIELDS_OF_AN_ARCHIVE, "")
        if name not in READS_WHAT_A_USER_WROTE:
            assert not (found := PARSING.search(source)), f"{name}: {found and found.group()}"


def test_only_one_file_knows_the_names_of_hooks():
    for path in files(*PACKAGES):
        if path.relative_to(ROOT) != Path("mechsteer/models/hooks.py"):
            source = path.read_text(encoding="utf-8")
            assert "blocks." not in source.replace("bridge.blocks", ""), path
            assert not re.search(r"""["'](ln2|ln_final|unembed\.|(\w+\.)*hook_\w+)""", source), path


@pytest.mark.parametrize("names", ["mechsteer.cli, mechsteer.guestbook", "figures, figures.page"])
def test_help_and_figures_need_no_torch(names):
    code = f"import sys, {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_tree_in_contributing_holds_every_file_and_nothing_else():
    text = CONTRIBUTING.read_text(encoding="utf-8")
    written = text.partition(BEGIN)[2].partition(END)[0]
    assert written == tree(), "python tests/tree.py writes it anew"


def test_every_public_name_resolves():
    import mechsteer

    for name in mechsteer.__all__:
        assert getattr(mechsteer, name) is not None, name
