"""`mechsteer store`: the results that studies keep, listed, sized and pruned."""

import os
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ..store.store import Record, Store
from .options import JsonOption
from .printing import Table, echo, echo_json
from .verbs import Several

MOST_RECORDS = 40

store = typer.Typer(cls=Several, add_completion=False)

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="The store's folder; by default MECHSTEER_STORE, else results/.store.", metavar="DIR"),
]


@store.callback()
def results() -> None:
    """List, size or prune the results that studies keep and share."""


@store.command("list")
def list_results(
    folder: StoreOption = None,
    kind: Annotated[str | None, typer.Option(help="Only results of this kind.", metavar="KIND")] = None,
    as_json: JsonOption = False,
) -> None:
    """The newest results, and what could not be finished."""
    opened = opened_store(folder)
    records = sorted(opened.records(), key=lambda record: -record.made)
    records = [record for record in records if kind in (None, record.kind)]
    failures = list(opened.failures())
    if as_json:
        echo_json({
            "store": str(opened.folder),
            "results": [_said(record) for record in records],
            "failures": [{"key": key, **failure} for key, failure in failures],
        })  # fmt: skip
        return
    title = f"{len(records)} results in {opened.folder}"
    if len(records) > MOST_RECORDS:
        title += f", of which the newest {MOST_RECORDS}"
    rows = [
        (record.key[:12], record.kind, _size(record.n_bytes), f"{record.seconds:.1f}", _when(record), record.words)
        for record in records[:MOST_RECORDS]
    ]
    echo(Table.of(title, ("key", "kind", "size", "seconds", "made", "what"), rows))
    if failures:
        rows = [(key[:12], str(failure["tried"]), failure["words"], failure["error"]) for key, failure in failures]
        echo(Table.of(f"{len(rows)} could not be finished", ("key", "tried", "what", "why"), rows))


@store.command("size")
def size(folder: StoreOption = None, as_json: JsonOption = False) -> None:
    """How much each kind of result takes, and how long it took."""
    opened = opened_store(folder)
    kinds: dict[str, list[Record]] = {}
    for record in opened.records():
        kinds.setdefault(record.kind, []).append(record)
    rows = [
        {"kind": kind, "n": len(some), "bytes": sum(r.n_bytes for r in some), "seconds": sum(r.seconds for r in some)}
        for kind, some in kinds.items()
    ]
    rows.sort(key=lambda row: -row["bytes"])
    if as_json:
        echo_json({"store": str(opened.folder), "kinds": rows})
        return
    shown = [(row["kind"], str(row["n"]), _size(row["bytes"]), f"{row['seconds']:.1f}") for row in rows]
    total = _size(sum(row["bytes"] for row in rows))
    echo(Table.of(f"{total} in {opened.folder}", ("kind", "results", "size", "seconds"), shown))


@store.command("prune")
def prune(
    folder: StoreOption = None,
    older_than: Annotated[
        float | None, typer.Option(help="Remove results made so many days ago or before.", min=0, metavar="DAYS")
    ] = None,
    unused: Annotated[
        bool, typer.Option("--unused", help="Remove what no study in the store's parent folder holds.")
    ] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="Remove records of failed work, so that it is tried again.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and leave it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove results; studies' folders keep what they hold, and what is needed again is computed again."""
    if older_than is None and not unused and not failed:
        raise InputError("Nothing was named to prune. Add --older-than DAYS, --unused or --failed.")
    opened = opened_store(folder)
    takes_results = older_than is not None or unused
    with opened.alone() if takes_results and not dry_run else nullcontext():
        chosen = list(opened.records()) if takes_results else []
        if older_than is not None:
            before = (datetime.now(UTC) - timedelta(days=older_than)).timestamp()
            chosen = [record for record in chosen if record.made <= before]
        if unused:
            used = opened.used_by(opened.folder.parent)
            chosen = [record for record in chosen if record.key not in used]
        forgotten = [key for key, _ in opened.failures()] if failed else []
        if not dry_run:
            for record in chosen:
                opened.remove(record.key)
            for key in forgotten:
                opened.forgive(key)
    freed = sum(record.n_bytes for record in chosen)
    if as_json:
        echo_json(
            {
                "removed": [_said(record) for record in chosen],
                "bytes": freed,
                "forgotten": forgotten,
                "dry_run": dry_run,
            }
        )
        return
    verb = "would be removed" if dry_run else "removed"
    echo(f"{len(chosen)} results {verb} ({_size(freed)}); {len(forgotten)} failures {'would be ' * dry_run}forgotten.")


def opened_store(folder: Path | None) -> Store:
    """The store that is meant, which must be there."""
    place = folder or Path(os.environ.get("MECHSTEER_STORE") or Path("results") / ".store")
    found = Store(place)
    if not found.is_there:
        raise InputError(f"There is no store in {str(place)!r}. Name its folder with --store.")
    return found


def _said(record: Record) -> dict[str, object]:
    return {
        "key": record.key,
        "kind": record.kind,
        "words": record.words,
        "bytes": record.n_bytes,
        "seconds": record.seconds,
        "made": record.made,
    }


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e5 else f"{n_bytes / 1e3:.1f} kB"


def _when(record: Record) -> str:
    return datetime.fromtimestamp(record.made).strftime("%Y-%m-%d %H:%M")
