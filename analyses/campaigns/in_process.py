"""A campaign in this process, one cell after the other."""

from collections.abc import Iterator

from .cell import Workplace
from .plan import CampaignPlan, Cell


def run_cells(plan: CampaignPlan, workplace: Workplace) -> Iterator[tuple[Cell, str]]:
    """Each cell, with why it could not be finished, or ""."""
    for family in plan.families:
        for cell in family:
            workplace.report(f"\n{cell.name}")
            yield cell, workplace.do(cell)
