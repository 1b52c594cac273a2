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


def draw_one(campaign: "Campaign", name: str, folder: Path) -> list[Path]:
    """One figure as PDF and PNG, and its numbers as CSV; of claims, each as NAME-CLAIM."""
    from mechsteer.store.atomic import write_atomically

    from ..drawing.style import save

    member, written = FIGURES[name], []
    module = member.module()
    claims = dict.fromkeys(campaign.combined["name"])
    of_claims = {f"{name}-{claim.replace(': ', '-').replace(' ', '-')}": {"subject": claim} for claim in claims}
    for stem, which in (of_claims if member.get("SCOPE") == "claim" else {name: {}}).items():
        if (figure := module.draw(campaign, **which)) is not None:
            numbers = module.numbers(campaign, **which)
            written += save(figure, folder / stem)
            written.append(
                write_atomically(folder / f"{stem}.csv", lambda path, table=numbers: table.to_csv(path, index=False))
            )
    return written


def draw_all(campaign: "Campaign", folder: Path) -> list[Path]:
    """Every figure that the campaign has results for."""
    return [path for name in FIGURES.members() for path in draw_one(campaign, name, folder)]


def short(names: Iterable[str]) -> dict[str, str]:
    """Models or pairs without their folders and suffixes, where they are told apart all the same."""
    asked = list(dict.fromkeys(names))
    found = {name: PurePath(name).with_suffix("").name if "/" in name else name for name in asked}
    return found if len(set(found.values())) == len(found) else {name: name for name in asked}


def draw_and_report(folder: Path) -> None:
    """The heat map and the page of a campaign; forests are on the page, and take `python -m figures` a while as files."""
    from analyses.campaigns.campaign import Campaign

    from ..page.campaign import write_campaign_page

    draw_one(Campaign.load(folder), "heat_map", folder / "figures")
    write_campaign_page(folder)
