"""Findings: a page in Markdown about a campaign, whose numbers and pictures stand between marks and are written by a command.

    <!-- curves -->
    ... what `mechsteer findings CAMPAIGN --page PAGE` writes ...
    <!-- end of curves -->

What stands outside the marks is the author's. A section is a file of this room: it declares `NAME`, and `write(found)` gives its
Markdown. Pictures lie beside the page, in a folder that is called as it is.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mechsteer.errors import InputError
from mechsteer.registry import Family

if TYPE_CHECKING:
    from analyses.campaigns.campaign import Campaign

SECTIONS = Family("section of findings", Path(__file__).parent, "figures.findings")
OPENED = re.compile(r"^<!-- (?!end of )([a-z_]+) -->$", re.MULTILINE)
MARKED = re.compile(r"<!-- (?!end of )(?P<name>[a-z_]+) -->\n(?P<old>.*?)<!-- end of (?P=name) -->", re.DOTALL)


def write_findings(campaign: "Campaign", page: Path, sections: Sequence[str] = ()) -> Path:
    """Write the marked sections of a page anew, all or those that are named; a page that does not exist yet gets them."""
    from mechsteer.store.atomic import write_atomically

    from .found import Found

    if not page.suffix:
        raise InputError(
            f"{str(page)!r} has no suffix, and pictures lie in a folder of that name. Call it {page.name}.md."
        )
    before = page.read_text(encoding="utf-8") if page.is_file() else blank(campaign, sections)
    asked = [match["name"] for match in MARKED.finditer(before)]
    if lost := [name for name in OPENED.findall(before) if name in SECTIONS.members() and name not in asked]:
        raise InputError(f"{str(page)!r} has <!-- {lost[0]} --> without <!-- end of {lost[0]} -->. Add that line.")
    if not asked:
        name = next(iter(SECTIONS.members()))
        raise InputError(
            f"{str(page)!r} has no marked section to write into, such as <!-- {name} --> and <!-- end of {name} -->. "
            "Mark one, or name a page that does not exist yet."
        )
    for name in sections:
        if SECTIONS[name].name not in asked:
            raise InputError(
                f"{str(page)!r} has no section {name!r}. Add <!-- {name} --> and <!-- end of {name} --> where it is to stand."
            )
    pictures = page.with_suffix("")
    found = Found.of(campaign, pictures)
    modules = {name: SECTIONS.load(name) for name in sections or asked}
    plan = f"Plan `{campaign.plan}`."
    texts = {name: f"{module.write(found).strip()}\n\n{plan}" for name, module in modules.items()}

    def anew(section: re.Match) -> str:
        name = section["name"]
        return f"<!-- {name} -->\n{texts[name]}\n<!-- end of {name} -->" if name in texts else section[0]

    text = MARKED.sub(anew, before)
    written = write_atomically(page, lambda work: work.write_text(text, encoding="utf-8"))
    # Only what an earlier page showed between its marks was ours to draw.
    linked = re.compile(rf"\]\({re.escape(pictures.name)}/([^/)]+\.png)\)")
    shown = {name for match in MARKED.finditer(before) for name in linked.findall(match["old"])}
    for name in shown - set(linked.findall(text)):
        (pictures / name).unlink(missing_ok=True)
    return written


def blank(campaign: "Campaign", sections: Sequence[str] = ()) -> str:
    """A page of all sections, or of those that are named, and nothing else."""
    parts = [f"# {campaign.said['name']}"]
    for name in sections or SECTIONS.members():
        member = SECTIONS[name]
        parts.append(f"## {member.title}\n\n<!-- {name} -->\n<!-- end of {name} -->")
    return "\n\n".join(parts) + "\n"
