"""`mechsteer compare`: finished studies against each other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ..store.atomic import write_atomically
from .options import JsonOption, check_output
from .printing import Table, echo, echo_json, estimate, number, records


def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of studies; each is set against the first.", metavar="DIR")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="A .parquet file for the table, with a row for each budget of lost utility.", metavar="FILE"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare studies, pair by pair and seed by seed.

    Where two studies measured the same pairs, differences are paired by them, and by the training seeds that both have.
    """
    from analyses.studies.compared import compare as compared
    from analyses.studies.finished import Study

    if out is not None:
        check_output(out, ".parquet")
    studies = [Study.load(folder) for folder in folders]
    labels = [str(folder) for folder in folders]
    table = compared(studies, labels)
    if out is not None:
        write_atomically(out, lambda path: table.to_parquet(path, index=False))
    content = {
        "differences": records(table),
        "claims": [
            {"name": claim.name, "subject": str(claim.key), "study": label, "outcome": claim.outcome.value}
            for study, label in zip(studies, labels, strict=True)
            for claim in study.claims
        ],
    }
    if as_json:
        echo_json(content)
    else:
        echo(*_told(content, labels))


def _told(content: dict[str, Any], labels: list[str]) -> Iterator[str | Table]:
    sections: dict[str, list[tuple[str, ...]]] = {}
    for row in content["differences"]:
        if row["budget"] is None:
            paired = f"{row['n_paired']} pairs in both" if row["n_paired"] else "other pairs"
            sections.setdefault(f"{row['study']} against {row['against']}", []).append((
                f"{row['method']} {row['form'].replace('_', ' ')}", number(row["gained"]), number(row["gained_against"]),
                estimate(row, "difference"), "" if row["p_value"] is None else number(row["p_value"], 2), paired,
                str(row["n_seeds"]),
            ))  # fmt: skip
    columns = ("steer", "gains", "gains against", "difference [95 %]", "p (Holm)", "compared on", "seeds")
    yield Table("Preference gained, mean over utility losses up to 0.5 nats", columns, sections)
    outcomes: dict[str, dict[str, list[str]]] = {}
    for claim in content["claims"]:
        outcomes.setdefault(claim["name"], {}).setdefault(claim["study"], []).append(claim["outcome"])
    differing = [
        (name, *("; ".join(dict.fromkeys(by_study.get(label, ["-"]))) for label in labels))
        for name, by_study in outcomes.items()
        if len({tuple(judged) for judged in by_study.values()}) > 1
    ]
    if differing:
        yield Table.of("Claims that came out differently", ("claim", *labels), differing)
    for label in dict.fromkeys(labels) if len({*labels}) > 1 else ():
        if missing := [name for name, by_study in outcomes.items() if label not in by_study]:
            yield f"Not judged in {label}, but elsewhere: {', '.join(missing)}."
