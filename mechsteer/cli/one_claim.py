"""One claim of a finished study, opened: `read` gives it to programs, `told` turns it into sentences and tables."""

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from ..errors import InputError
from .printing import Block, Table, estimate, number, records

HIDDEN = {"weights", "tokenizer", "settings", "pairs_content"}
"""Hashes, which say nothing to a reader."""
MOST_ROWS, WIDTH = 12, 80
"""Of a table behind a claim: what is shown of it; its file and `--json` hold the whole."""


def read(folder: Path, name: str) -> dict[str, Any]:
    """One claim, or all claims of one analysis: why, against what, on which numbers, in which figure."""
    from analyses.claims import CLAIMS
    from analyses.studies.finished import Study
    from figures import all_figures

    study = Study.load(folder, with_sweeps=False)
    claims, sums = study.claims, study.sums
    chosen = [claim for claim in claims if name in (claim.name, claim.claim)]
    if not chosen:
        known = ", ".join(dict.fromkeys(claim.claim for claim in claims)) or "none: the study judged none"
        raise InputError(f"{str(folder)!r} has no claim {name!r}. Its claims are {known}.")
    analysis = chosen[0].claim
    member = CLAIMS.members().get(analysis)
    figure = member.get("FIGURE", "") if member else ""
    tables = sums.names(f"claims/{analysis}-*.parquet")
    drawn = (f"figures/{figure}.png", f"figures/{figure}-*.png") if figure in all_figures() else ()
    return {
        "claims": [_said(claim) for claim in chosen],
        "tables": [
            {"file": str(folder / path), "rows": records(study.table(path.removesuffix(".parquet")))} for path in tables
        ],
        "figures": sorted(str(path) for pattern in drawn for path in sums.paths(pattern)),
    }


def _said(claim: Any) -> dict[str, Any]:
    """A claim's row with its words."""
    return claim.to_dict() | {"name": claim.name, "subject": str(claim.key)}


def told(content: dict[str, Any]) -> Iterator[Block]:
    """A claim opened: its sentences, then the tables behind it, then its figure."""
    for row in content["claims"]:
        said = [
            ("outcome", row["outcome"]),
            ("estimate", f"{estimate(row)} {row['unit']}"),
            ("against", row["control"]),
        ]
        said.append(("because", row["because"]))
        if row["p_value"] is not None:
            from ..statistics.judging import p_words  # which needs numpy, and help does not

            said.append(("p", f"{p_words(row['p_value'])}, corrected for all tests of the study"))
        yield Table.of(f"{row['name']}, {row['subject']}", ("", ""), said)
    for table in content["tables"]:
        yield _rows(table["file"], table["rows"])
    yield from (f"Figure: {path}" for path in content["figures"])
    if not content["figures"]:
        yield "No figure of this study shows it; mechsteer figures DIR draws them."


def _rows(file: str, rows: list[dict[str, Any]]) -> Table:
    """The first rows of a table, without columns that say the same in every row, and as many others as fit."""
    varying = [name for name in rows[0] if name not in HIDDEN and len({row[name] for row in rows}) > 1] if rows else []
    columns = [[name.replace("_", " "), *(_cell(row[name]) for row in rows[:MOST_ROWS])] for name in varying]
    widths = [2 + max(map(len, [*name.split(), *cells])) for name, *cells in columns]
    shown = [column for column, end in zip(columns, accumulate(widths), strict=True) if end <= WIDTH]
    title = f"{file}: {len(rows)} rows"
    if len(rows) > MOST_ROWS or len(shown) < len(varying):
        title += f", of which {min(len(rows), MOST_ROWS)}, and {len(shown)} of {len(varying)} columns"
    # A table may have no rows, or none that differ.
    names, *cells = zip(*shown, strict=True) if shown else ((),)
    return Table.of(title, names, cells)


def _cell(value: Any) -> str:
    return number(value) if value is None or isinstance(value, float) else str(value)
