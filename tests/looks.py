"""What a finished study shows of itself: every look that the command line offers, in process; and a study to look at."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import mechsteer as ms
from analyses.studies.again import judge_again
from analyses.studies.finished import Study
from analyses.studies.settings import Settings
from analyses.studies.study import run
from figures import all_figures, draw_one
from figures.page import write_report
from figures.page.page import render
from mechsteer.cli import one_claim, summary
from mechsteer.cli.printing import echo
from mechsteer.store.sums import Sums


def _shown(folder: Path) -> str:
    """`mechsteer show`, as text and for programs."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        content = summary.read(folder)
        echo(*summary.told(content), *summary.details(content))
    return f"{content}{printed.getvalue()}"


def _claims(folder: Path) -> str:
    """`mechsteer show --claim`, of claims of each kind."""
    names = ("linear_region", "measurement", "off_manifold")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for name in names:
            echo(*one_claim.told(one_claim.read(folder, name)))
    return printed.getvalue()


def _figures(folder: Path) -> str:
    """The numbers that `mechsteer figures` draws, which are all that it reads."""
    study = Study.load(folder)
    tables = (member.module().numbers(study) for member in all_figures().values())
    return "".join("" if table is None else table.to_csv() for table in tables)


def _page(folder: Path) -> str:
    """`mechsteer report`."""
    return render([Study.load(folder)])


def _judged(folder: Path) -> str:
    """`python -m analyses`, on a claim of each kind of evidence."""
    return str([judge_again(folder, name).claims for name in ("measurement", "one_operation")])


def _steers(folder: Path) -> str:
    """What `sweep` and `generate --intervention` open."""
    sums = Sums.of(folder)
    steers = [ms.load_intervention(sums.path(name)) for name in sums.names("interventions/*")]
    tensors = [{name: value.tolist() for name, value in steer.parameters.items()} for steer in steers]
    return str([(steer.name, vars(steer.origin), values) for steer, values in zip(steers, tensors, strict=True)])


LOOKS: dict[str, Callable[[Path], str]] = {
    "show": _shown, "show --claim": _claims, "figures": _figures, "report": _page, "analyses": _judged,
    "steers": _steers,
}  # fmt: skip
READ_BY = {
    ".pdf": ("show",), ".csv": ("show",), ".txt": ("show",), ".tex": ("show",), ".html": ("show",),
    ".png": ("show", "report"), ".npz": ("show", "analyses"), ".safetensors": ("show", "steers"), ".jsonl": ("show", "report"),
}  # fmt: skip
"""Which looks read files of a kind; every look reads the others, or may."""


def settings(pairs: Path) -> Settings:
    """A study that takes seconds, with claims."""
    return Settings(
        pairs=str(pairs), site="2:mlp.out", multipliers="-4:4:9", methods=("DiffMean", "SFT"), forms=("vector",), steps=3, tune=1,
        claims=("DiffMean-vector",), device="cpu",
    )  # fmt: skip


def make_study(folder: Path) -> Path:
    """The folder of a finished study with a few figures and its page; its store lies beside it."""

    def finish(work: Path, each: Callable) -> None:
        for name in ("claims", "frontier"):
            draw_one(Study.load(work), name, work / "figures")
        write_report([work])

    pairs = ms.save_pairs(ms.load_pairs("guestbook/sentiment").sample(48), folder / "pairs.jsonl")
    return run(settings(pairs), folder / "study", report=lambda line: None, finish=finish).folder
