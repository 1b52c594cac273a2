"""`mechsteer findings`: a campaign's numbers and pictures, put into a page of one's own words."""

from pathlib import Path
from typing import Annotated

import typer

from .printing import echo


def findings(
    campaign: Annotated[Path, typer.Argument(help="The folder of a campaign, finished or not.", metavar="CAMPAIGN")],
    page: Annotated[
        Path,
        typer.Option(
            help="A page in Markdown whose marked sections are written anew; or a new one.", metavar="FILE.md"
        ),
    ] = Path("findings.md"),
    numbers: Annotated[
        Path | None,
        typer.Option(
            help="Keep the numbers alone in this folder, which this command reads as it reads a campaign.",
            metavar="FOLDER",
        ),
    ] = None,
) -> None:
    """Write what a campaign found into a page in Markdown.

    What stands between <!-- curves --> and <!-- end of curves -->, say, is written anew from the campaign's tables, with the
    plan's hash; what stands outside is yours. A page that does not exist yet gets every section. Pictures lie beside it.
    On a page of several campaigns, <!-- curves: NAME --> is written by the campaign of that name alone.

    With --numbers, whoever has that folder can draw the same page: it holds no pairs, texts, steers or pictures.
    """
    from analyses.campaigns.campaign import Campaign
    from analyses.campaigns.numbers import keep_numbers
    from figures.findings import write_findings

    read = Campaign.load(campaign)
    if numbers is not None:
        echo(f"Its numbers are in {keep_numbers(read, numbers)}.")
    echo(f"Written into {write_findings(read, page)}.")
