"""Figures of a campaign, a file each: `draw(campaign)` from what was put together of all its cells.

As with a study's figures, `numbers(campaign)` is the table that `draw(campaign, ax=None)` draws. A figure whose SCOPE is "claim"
is drawn of every claim, whose name it takes as `subject`.
"""

from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from mechsteer.registry import Family

if TYPE_CHECKING:
    from analyses.campaigns.campaign import Campaign

FIGURES = Family("campaign's figure", Path(__file__).parent, "figures.campaigns")


def draw_one(campaign: "Campaign", name: str, folder: Path, width: str | None = None) -> list[Path]:
    """One figure's files; of claims, each as NAME-CLAIM."""
    from .. import write_one

    subjects: dict[str, str | None] = {name: None}
    if (member := FIGURES[name]).get("SCOPE") == "claim":
        claims = dict.fromkeys(campaign.combined["name"])
        subjects = {f"{name}-{claim.replace(': ', '-').replace(' ', '-')}": claim for claim in claims}
    return write_one(member, campaign, subjects, folder, width or "")


def draw_all(campaign: "Campaign", folder: Path, width: str | None = None) -> list[Path]:
    """Every figure that the campaign has results for."""
    return [path for name in FIGURES.members() for path in draw_one(campaign, name, folder, width)]


def short(names: Iterable[str]) -> dict[str, str]:
    """Models or pairs without suffixes, and with as few of their folders as tell them apart; where none do, as they are."""
    from mechsteer.pairs.reading import label_of

    parts = {name: (*PurePath(name).parts[:-1], label_of(name)) if "/" in name else (name,) for name in names}

    def ending(name: str) -> str:
        for n in range(1, len(parts[name]) + 1):
            if not any(other != name and parts[other][-n:] == parts[name][-n:] for other in parts):
                return "/".join(parts[name][-n:])
        return name

    return {name: ending(name) for name in parts}


def draw_and_report(folder: Path) -> None:
    """The heat map and the page of a campaign; forests are on the page, and take `python -m figures` a while as files."""
    from analyses.campaigns.campaign import Campaign

    from ..page.campaign import write_campaign_page

    draw_one(Campaign.load(folder), "heat_map", folder / "figures")
    write_campaign_page(folder)
