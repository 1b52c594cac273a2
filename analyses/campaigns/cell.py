"""One cell of a campaign, done as the study that it is; one that fails leaves its reason and stops nothing else."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mechsteer.errors import InputError
from mechsteer.registry import extend
from mechsteer.store.atomic import write_json
from mechsteer.store.reading import read_json
from mechsteer.store.sums import write_sums
from mechsteer.store.units import FailedBefore

from ..studies.folder import Busy, StudyFolder, read_manifest
from ..studies.opening import Models
from ..studies.study import Finish, run
from .plan import Cell

FAILURE = {"cell": str, "plan": str, "error": str}
Report = Callable[[str], None]


@dataclass
class Workplace:
    """Where and how cells are done, by one process; it holds one model at a time, the one of the last cell."""

    out: Path
    """The campaign's folder."""
    plan: str
    """The plan's hash, which stands in every study."""
    store: str
    jobs: int | None = 1
    retry: bool = False
    finish: Finish | None = None
    """Adds figures and the page to a study's folder."""
    report: Report = print
    models: Models = field(default_factory=Models)

    def do(self, cell: Cell) -> str:
        """Do one cell, or what is missing of it; why it could not be finished, or "" where it was."""
        reason = failure_file(self.out, cell)
        try:
            # In a process of its own, members from outside have not joined yet.
            for path in cell.settings.extend:
                extend(path)
            settings = replace(cell.settings, store=self.store, jobs=self.jobs, retry=self.retry)
            run(settings, self.out / cell.name, report=self.report, finish=self.finish, models=self.models)
        except Busy as error:
            return str(error)
        except FailedBefore as error:
            # As it was told when it failed.
            fail(self.out, self.plan, cell, error.why)
            return error.why
        except Exception as error:
            sentence = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}."
            fail(self.out, self.plan, cell, sentence)
            return sentence
        reason.unlink(missing_ok=True)
        stamp(self.out / cell.name, self.plan)
        return ""


def stamp(folder: Path, plan: str) -> None:
    """Let a study say which campaign's plan it belongs to; its folder is swapped whole, so that it is never half said."""
    place = StudyFolder.at(folder)
    said = place.manifest()
    if said.get("campaign") == plan:
        return

    def again(work: Path) -> None:
        shutil.copytree(place.out, work, dirs_exist_ok=True)
        write_json(said | {"campaign": plan}, work / "study.json")
        write_sums(work, [work / "study.json"])

    place.replace(again)


def stamped(folder: Path) -> str:
    """The plan to which the study there belongs; "" where there is no study that can be read."""
    try:
        return read_manifest(folder / "study.json").get("campaign", "")
    except InputError:
        return ""


def fail(out: Path, plan: str, cell: Cell, sentence: str) -> None:
    """Keep why a cell could not be finished."""
    write_json({"cell": cell.name, "plan": plan, "error": sentence}, failure_file(out, cell))


def failure(out: Path, plan: str, cell: Cell) -> str:
    """Why a cell could not be finished when it was last tried; "" where nothing is known."""
    path = failure_file(out, cell)
    if not path.is_file():
        return ""
    found = read_json(path, FAILURE)
    return found["error"] if found["plan"] == plan else ""


def failure_file(out: Path, cell: Cell) -> Path:
    return out / "failed" / f"{cell.name}.json"
