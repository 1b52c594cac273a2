"""A campaign's numbers alone: small enough to stand beside a page, and free of what is somebody's data or a model's words.

Findings are drawn from them as from the campaign itself, without its pairs, models or steers.
"""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as parquet

from mechsteer.errors import InputError
from mechsteer.store.atomic import remove_left_behind, write_json
from mechsteer.store.sums import LIST, write_sums

from ..studies.finished import Study
from ..studies.folder import StudyFolder, files_of
from ..studies.layers import layers_of
from .campaign import Campaign
from .survey import DONE

OWN = ("campaign.json", "claims.parquet", "combined.parquet")
READ = ("fits.json", "claims.json")
WORDS = {"query", "raw"}
"""Columns of tables that hold what was asked and written, or what a judge said."""


def keep_numbers(campaign: Campaign, folder: Path) -> Path:
    """Copy what findings are drawn from; cells that are there already and not done in this campaign are left alone."""
    if folder.resolve() == campaign.folder.resolve():
        raise InputError(f"{str(folder)!r} is the campaign's own folder. Name another one for its numbers.")
    # Whole studies of another campaign would be lost.
    if other := [name for name in files_of(folder) if not name.endswith((".json", ".parquet", LIST))]:
        raise InputError(
            f"{str(folder)!r} holds {other[0]!r}, which is none of a campaign's numbers. Name a new folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    remove_left_behind(folder)
    for cell in campaign.cells:
        if cell["state"] == DONE:
            study = Study.load(campaign.folder / cell["name"], with_sweeps=False)
            StudyFolder.at(folder / cell["name"]).replace(lambda work, study=study: _fill(study, work))
    for name in OWN:
        shutil.copy(campaign.folder / name, folder / name)
    return folder


def _fill(study: Study, work: Path) -> None:
    for name in (name for name in files_of(study.folder) if _is_numbers(study, name)):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(study.sums.path(name), work / name)
    # Of activations, what the page shows: they themselves are too large to keep, and are a model's.
    for name, table in layers_of(study).items():
        table.to_parquet(work / f"{name}.parquet", index=False)
    files = sorted({*files_of(work), "study.json", LIST})
    write_json(
        json.loads(study.sums.path("study.json").read_text(encoding="utf-8")) | {"files": files}, work / "study.json"
    )
    write_sums(work)


def _is_numbers(study: Study, name: str) -> bool:
    if not name.endswith(".parquet"):
        return name in READ
    return not WORDS & set(parquet.read_schema(study.sums.path(name)).names)
