"""Findings: a page in Markdown about a campaign, whose numbers and pictures stand between marks and are written by a command.

    <!-- curves -->
    ... what `mechsteer findings CAMPAIGN --page PAGE` writes ...
    <!-- end of curves -->

What stands outside the marks is the author's. A page of several campaigns says which of them writes a section:
<!-- judged: the campaign's name -->. A section is a file of this room: it declares `NAME`, and `write(found)` gives its Markdown.
Pictures lie beside the page, in a folder that is called as it is.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mechsteer.errors import InputError
from mechsteer.registry import Family

if TYPE_CHECKING:
    from analyses.campaigns.campaign import Campaign

SECTIONS = Family("section of findings", Path(__file__).parent, "figures.findings")
BEGINS = r"<!-- (?!end of )(?P<name>[a-z_]+)(?:: (?P<campaign>[^>\n]+))? -->"
OPENED = re.compile(rf"^{BEGINS}$", re.MULTILINE)
MARKED = re.compile(rf"{BEGINS}\n(?P<old>.*?)<!-- end of (?P=name) -->", re.DOTALL)


def write_findings(campaign: "Campaign", page: Path) -> Path:
    """Write a page's marked sections anew: those that name the campaign, or else those that name none. A page that does not exist
    yet gets every section."""
    from mechsteer.store.atomic import write_atomically

    from .found import Found

    if not page.suffix:
        raise InputError(
            f"{str(page)!r} has no suffix, and pictures lie in a folder of that name. Call it {page.name}.md."
        )
    before = page.read_text(encoding="utf-8") if page.is_file() else blank(campaign)
    marked, name = list(MARKED.finditer(before)), campaign.said["name"]
    closed = {match.start() for match in marked}
    for match in OPENED.finditer(before):
        if match.start() not in closed and match["name"] in SECTIONS.members():
            raise InputError(f"{str(page)!r} has {match[0]} without <!-- end of {match['name']} -->. Add that line.")
    writes = name if any(match["campaign"] == name for match in marked) else None
    asked = [match["name"] for match in marked if match["campaign"] == writes]
    if not asked:
        example = next(iter(SECTIONS.members()))
        raise InputError(
            f"{str(page)!r} has no marked section to write into, such as <!-- {example} --> and <!-- end of {example} -->. "
            f"Mark one, or name the campaign in one that is marked: <!-- {example}: {name} -->."
        )
    pictures = page.with_suffix("")
    found = Found.of(campaign, pictures, f"{re.sub(r'[^a-z0-9]+', '-', writes.lower())}-" if writes else "")
    plan = f"Plan `{campaign.plan}`."
    modules = {name: SECTIONS.load(name) for name in asked}
    texts = {name: f"{module.write(found).strip()}\n\n{plan}" for name, module in modules.items()}

    def anew(section: re.Match) -> str:
        if section["campaign"] != writes:
            return section[0]
        begins, name = section[0][: section.start("old") - section.start()], section["name"]
        return f"{begins}{texts[name]}\n<!-- end of {name} -->"

    text = MARKED.sub(anew, before)
    for name, data in found.drawn.items():
        write_atomically(pictures / name, lambda work, data=data: work.write_bytes(data))
    written = write_atomically(page, lambda work: work.write_text(text, encoding="utf-8"))
    # Only what an earlier page showed between its marks was ours to draw.
    linked = re.compile(rf"\]\({re.escape(pictures.name)}/([^/)]+\.png)\)")
    shown = {name for match in marked for name in linked.findall(match["old"])}
    for name in shown - set(linked.findall(text)):
        (pictures / name).unlink(missing_ok=True)
    return written


def blank(campaign: "Campaign") -> str:
    """A page of all sections and nothing else."""
    parts = [f"# {campaign.said['name']}"]
    for name, member in SECTIONS.members().items():
        parts.append(f"## {member.title}\n\n<!-- {name} -->\n<!-- end of {name} -->")
    return "\n\n".join(parts) + "\n"
