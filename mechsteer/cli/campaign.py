"""`mechsteer campaign`: many studies by one plan."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from .options import JobsOption, JsonOption, RetryOption, StoreOption, running
from .printing import Table, echo, echo_json, estimate, number, records

EXECUTORS = ("in-process", "ray")


def campaign(
    plan: Annotated[Path, typer.Argument(help="A TOML file: [defaults], [grid] and [[override]].", metavar="PLAN")],
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="List the cells, count what is left, and estimate the time; exit 1 if one cannot be planned.",
        ),
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Say what is done, missing and failed, and how long the rest takes.")
    ] = False,
    shard: Annotated[
        str,
        running(
            help="Run one share of several, such as the third of eight. All shares use the same --out and --store.",
            metavar="3/8",
        ),
    ] = "1/1",
    executor: Annotated[
        str,
        running(
            help="'in-process', or 'ray', whose --jobs are workers of one model (pip install 'mechsteer[ray]').",
            metavar="|".join(EXECUTORS),
        ),
    ] = "in-process",
    address: Annotated[
        str | None, running(help="With ray, of a running cluster; by default one of this machine.", metavar="ADDRESS")
    ] = None,
    jobs: JobsOption = None,
    missing: Annotated[
        bool,
        running(
            "--missing",
            help="Only cells without a study of this very plan.",
        ),
    ] = False,
    retry: RetryOption = False,
    store: StoreOption = None,
    out: Annotated[Path | None, running(help="Folder of the campaign, by default results/PLAN.", metavar="DIR")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a grid of studies, and tell what held where.

    Every cell is a study in a folder of its own. What is finished is kept, so an interrupted campaign goes on when the command
    is repeated; a cell that fails is kept with its reason and stops no other. report.html tells what held where, of a
    campaign that is interrupted too.
    """
    from analyses.campaigns.cell import Workplace
    from analyses.campaigns.plan import read_plan
    from analyses.campaigns.survey import survey, unfinished
    from analyses.studies.opening import Models
    from analyses.studies.settings import Settings
    from analyses.studies.study import store_folder

    from ..progress import progress_bar, say
    from ..store.store import Store

    read = read_plan(plan)
    asked = read.shard(*_shard(shard))
    out = (out or Path("results") / plan.stem).absolute()
    if missing:
        asked = unfinished(asked, out)
    kept = Store(store_folder(Settings(store=store), out).absolute())
    if dry_run or status:
        from analyses.campaigns.estimate import Estimate

        models = Models() if dry_run else None
        with progress_bar("cells", len(asked.cells)) as bar:
            states = []
            for state in survey(asked, out, kept, models):
                states.append(state)
                bar.advance(f"cells: {state.cell.name}")
        measured = Estimate.of(states, kept)
        if models is not None:
            measured.measured(states, models)
        content = _so_far(read.id, out, states, measured)
        _print(content, _told_so_far(content), as_json)
        if models is not None and any(state.units is None for state in states):
            raise typer.Exit(1)
        return
    if executor not in EXECUTORS:
        raise InputError(f"The executor {executor!r} is unknown. Choose {' or '.join(EXECUTORS)}.")
    from analyses.campaigns.campaign import put_together
    from figures.campaigns import draw_and_report
    from figures.page import draw_and_report as finish_study

    workplace = Workplace(
        out, read.id, str(kept.folder), jobs, retry, finish_study, lambda line: say(line, indent=13)
    )  # fmt: skip
    if executor == "ray":
        from analyses.campaigns.on_ray import run_cells

        done = run_cells(asked, workplace, address)
    else:
        from analyses.campaigns.in_process import run_cells

        done = run_cells(asked, workplace)
    count = 0
    try:
        for count, (cell, reason) in enumerate(done, 1):
            say(f"cell {count} of {len(asked.cells)}: {cell.name}: {reason or 'done'}", indent=4)
    except KeyboardInterrupt:
        if count:
            put_together(read, out, draw_and_report)
        raise
    together = put_together(read, out, draw_and_report)
    content = _found(together)
    _print(content, _told(content), as_json)
    if any(cell["state"] == "failed" for cell in together.cells):
        raise typer.Exit(1)


def _shard(text: str) -> tuple[int, int]:
    number, _, n = text.partition("/")
    if not (number.isdigit() and n.isdigit() and 1 <= int(number) <= int(n)):
        raise InputError(f"The shard {text!r} is not NUMBER/SHARDS. Write for example 3/8, from 1/8 to 8/8.")
    return int(number), int(n)


def _so_far(plan: str, out: Path, states: Any, estimate: Any) -> dict[str, Any]:
    """What is done and what is left, cell by cell and kind by kind; what cells share is done once."""
    cells = [
        {
            "name": state.cell.name, "state": state.state, "reason": state.reason,
            "units": None if state.units is None else len(state.units), "present": len(state.present),
            "seconds": estimate.seconds(state),
        }
        for state in states
    ]  # fmt: skip
    units = {unit.key: unit for state in states for unit in state.units or ()}
    present = {key for state in states for key in state.present}
    missing = {unit.key: unit for state in states for unit in state.missing}
    kinds = []
    for kind in dict.fromkeys(unit.kind for unit in units.values()):
        done = [key for key, unit in units.items() if unit.kind == kind and key in present]
        left = [unit for unit in missing.values() if unit.kind == kind]
        seconds = {"seconds_spent": sum(estimate.by_key[key] for key in done), "seconds_left": estimate.known(left)}
        kinds.append({"kind": kind, "present": len(done), "missing": len(left)} | seconds)
    return {
        "plan": plan, "out": str(out), "cells": cells, "kinds": kinds,
        "units_present": len(present), "units_missing": len(missing),
        "cells_unknown": sum(cell["seconds"] is None and cell["state"] == "missing" for cell in cells),
        "seconds_left": estimate.total(states),
    }  # fmt: skip


def _told_so_far(content: dict[str, Any]) -> Iterator[str | Table]:
    rows = [
        (
            cell["name"], cell["state"], "?" if cell["units"] is None else str(cell["units"]), str(cell["present"]),
            "?" if cell["seconds"] is None else number(cell["seconds"]), cell["reason"],
        )
        for cell in content["cells"]
    ]  # fmt: skip
    columns = ("cell", "state", "units", "present", "seconds left", "why")
    yield Table.of(f"Plan {content['plan'][:16]}", columns, rows)
    rows = [
        (
            row["kind"],
            str(row["present"]),
            str(row["missing"]),
            *(number(row[f"seconds_{end}"]) for end in ("spent", "left")),
        )
        for row in content["kinds"]
    ]
    if rows:
        yield Table.of("Units, each once", ("kind", "present", "missing", "seconds spent", "seconds left"), rows)
    counts = {
        state: sum(cell["state"] == state for cell in content["cells"]) for state in ("done", "missing", "failed")
    }
    said = f"{', '.join(f'{n} {state}' for state, n in counts.items())}"
    if content["seconds_left"] is not None:
        said += (
            f"; {content['units_missing']} units to do, {content['units_present']} present; about "
            f"{content['seconds_left'] / 60:.1f} minutes of one process left"
        )
    yield f"{said}."
    if content["cells_unknown"]:
        yield (
            f"How long {content['cells_unknown']} of them take is not known until their model is opened; --dry-run opens it."
        )


def _found(together: Any) -> dict[str, Any]:
    return {
        "folder": str(together.folder), **together.said, "combined": records(together.combined),
        "report": str(together.folder / "report.html"),
    }  # fmt: skip


def _told(content: dict[str, Any]) -> Iterator[str | Table]:
    left = [(cell["name"], cell["reason"] or cell["state"]) for cell in content["cells"] if cell["state"] != "done"]
    n = len(content["cells"])
    yield f"{n - len(left)} of {n} cells are done (plan {content['plan'][:16]})."
    if left:
        yield Table.of("Not done", ("cell", "why"), left)
    rows = [
        (
            row["name"], _subject(row), *(str(row[outcome]) for outcome in ("supported", "refuted", "inconclusive")),
            f"{estimate(row, digits=2)} {row['unit']}", f"{row['n_groups']} {row['over']}" * (row["n_groups"] > 1),
        )
        for row in content["combined"]
    ]  # fmt: skip
    if rows:
        columns = ("claim", "of", "held", "did not", "cannot decide", "combined [95 %]", "over")
        yield Table.of("What held in how many cells, corrected over all of them", columns, rows)
    yield f"Everything is in {content['folder']}; begin with its report.html."


def _subject(row: dict[str, Any]) -> str:
    against = f"against {row['against']}" * bool(row["against"])
    return " ".join(part for part in (row["method"], row["form"].replace("_", " "), against, row["condition"]) if part)


def _print(content: dict[str, Any], told: Iterator[str | Table], as_json: bool) -> None:
    if as_json:
        echo_json(content)
    else:
        echo(*told)
