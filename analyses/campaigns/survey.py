"""What a campaign has done and what is left of it, cell by cell and unit by unit; nothing is computed or written for that."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mechsteer.errors import InputError
from mechsteer.models.identity import remembered
from mechsteer.store.store import Store
from mechsteer.store.units import Bench, Unit, in_order

from ..studies.opening import Models, Opener, source_of
from ..studies.plan import plan
from ..studies.site import choose_site, site_choice
from ..studies.subjects import checked_pairs, imported, subjects_of
from ..units.steers import Imported, PairSet
from .cell import failure, stamped
from .plan import CampaignPlan, Cell

STAND_IN = "0:resid_post"
"""Where units are counted of a study whose site is not chosen yet: as many are done anywhere."""
DONE, MISSING, FAILED = "done", "missing", "failed"


@dataclass(frozen=True)
class CellState:
    """How far a cell is; `units` is None where that cannot be told without opening its model."""

    cell: Cell
    state: str
    reason: str
    """Why it could not be finished, or cannot be planned."""
    units: tuple[Unit, ...] | None
    present: frozenset[str]
    """Keys of those that the store holds."""

    @property
    def missing(self) -> tuple[Unit, ...]:
        """What is left to do; a cell that is done needs nothing of the store any more."""
        return () if self.state == DONE else tuple(unit for unit in self.units or () if unit.key not in self.present)


def unfinished(campaign: CampaignPlan, out: Path) -> CampaignPlan:
    """The cells of which no study of this plan is there."""
    return campaign.part(tuple(cell for cell in campaign.cells if stamped(out / cell.name) != campaign.id))


def survey(campaign: CampaignPlan, out: Path, store: Store, models: Models | None = None) -> Iterator[CellState]:
    """Every cell's state; a model that the store does not know is opened only where `models` are given."""
    for cell in campaign.cells:
        reason = failure(out, campaign.id, cell)
        state = DONE if stamped(out / cell.name) == campaign.id else FAILED if reason else MISSING
        try:
            units = units_of(cell, store, models)
        except InputError as error:
            yield CellState(cell, FAILED, reason or str(error), None, frozenset())
            continue
        yield CellState(cell, state, reason, units, frozenset(unit.key for unit in units or () if unit.key in store))


def units_of(cell: Cell, store: Store, models: Models | None) -> tuple[Unit, ...] | None:
    """All units of a cell's study but pairs and files of steers, which are given and not computed."""
    if models is None and remembered(store, source_of(cell.settings), cell.settings.dtype) is None:
        return None
    opener = Opener(cell.settings, store, models or Models())
    subjects = subjects_of(cell.settings, checked_pairs(cell.settings), opener)
    settings = replace(cell.settings, format=opener.settled_format(subjects.model))
    subjects = replace(subjects, steers=tuple(imported(settings, subjects.model)))
    site, choice = settings.site, None
    if site == "auto":
        choice = site_choice(settings, subjects)
        site = str(choose_site(settings, subjects, Bench(store))) if choice.key in store else STAND_IN
    units = in_order([*([] if choice is None else [choice]), *plan(settings, subjects, site, choice).units])
    return tuple(unit for unit in units if not isinstance(unit, PairSet | Imported))
