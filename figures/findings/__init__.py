"""Findings: a page in Markdown about a campaign, whose numbers and pictures stand between marks and are written by a command.

    <!-- curves -->
    ... what `mechsteer findings CAMPAIGN --page PAGE` writes ...
    <!-- end of curves -->

What stands outside the marks is the author's. A section is a file of this room: it declares `NAME`, and `write(found)` gives its
Markdown. Pictures lie beside the page, in a folder that is called as it is.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mechsteer.errors import InputError
from mechsteer.registry import Family

if TYPE_CHECKING:
    from analyses.campaigns.campaign import Campaign

SECTIONS = Family("section of findings", Path(__file__).parent, "figures.findings")
MARKED = re.compile(r"<!-- (?!end of )(?P<name>[a-z_]+) -->\n(?P<old>.*?)<!-- end of (?P=name) -->", re.DOTALL)


def write_findings(campaign: "Campaign", page: Path) -> Path:
    """Write every marked section of the page anew; a page that does not exist yet gets all of them."""
    from mechsteer.store.atomic import write_atomically

    from .found import Found

    before = page.read_text(encoding="utf-8") if page.is_file() else blank(campaign)
    asked = [match["name"] for match in MARKED.finditer(before)]
    if not asked:
        name = next(iter(SECTIONS.members()))
        raise InputError(
            f"{str(page)!r} has no marked section to write into, such as <!-- {name} --> and <!-- end of {name} -->. "
            "Mark one, or name a page that does not exist yet."
        )
    pictures = page.with_suffix("")
    found = Found.of(campaign, pictures)
    modules = {name: SECTIONS.load(name) for name in asked}
    for old in pictures.glob("*.png"):
        old.unlink()
    sections = {name: module.write(found).strip() for name, module in modules.items()}
    text = MARKED.sub(lambda m: f"<!-- {m['name']} -->\n{sections[m['name']]}\n<!-- end of {m['name']} -->", before)
    return write_atomically(page, lambda path: path.write_text(text, encoding="utf-8"))


def blank(campaign: "Campaign") -> str:
    """A page of all sections and nothing else."""
    parts = [f"# {campaign.said['name']}"]
    for name, member in SECTIONS.members().items():
        parts.append(f"## {member.title}\n\n<!-- {name} -->\n<!-- end of {name} -->")
    return "\n\n".join(parts) + "\n"
