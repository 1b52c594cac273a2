"""Data: which pairs taught and which were measured, by what they are known, and how they were made and asked."""

from .found import Cell, Found, table

NAME = "data"
TITLE = "Data"
ORDER = 15

ABOUT = (
    "*Learned* and *measured* are numbers of pairs, with the fingerprint of their texts. A pair is *matched* where its two "
    "completions answer different inputs; all others answer the same one. Matched pairs teach each side by its own texts, and "
    "their log-odds compare completions of different inputs."
)


def write(found: Found) -> str:
    """A row for each cell."""
    return f"{table([_row(cell) for cell in found.cells])}\n\n{ABOUT}"


def _row(cell: Cell) -> dict[str, str]:
    of = cell.study.summary["pairs"]
    learning, testing = (
        f"{of[part].get('n', '')} `{of[part].get('fingerprint', '')}`" for part in ("learning", "testing")
    )
    asked = next((sweep.key.prompt_format for sweep in cell.study.sweeps), "")
    return cell.place | {"asked as": f"`{asked}`", "learned": learning, "measured": testing, "matched": matched(cell)}


def matched(cell: Cell) -> str:
    """What the check of pairs says of it, by which the result tells; "none" where it found no such pair."""
    said = [finding.found for finding in cell.study.findings if finding.kind == "matched"]
    return " ".join(said) or "none"
