"""`mechsteer judge`: what the steers of a finished study write, judged."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from ..families import JUDGES
from ..judges.request import Request
from .look import FolderArgument
from .options import (
    ConceptOption,
    Context,
    DeviceOption,
    GoldOption,
    InstructionsOption,
    JobsOption,
    JsonOption,
    JudgesOption,
    QueriesOption,
    RetryOption,
    SamplesOption,
    ScaleOption,
    StoreOption,
    TextTokensOption,
    running,
    split_list,
    was_asked,
)
from .printing import Table, echo, echo_json, number, records

if TYPE_CHECKING:
    import pandas as pd

SHOWN_AT = {"m = 0": 0.0, "furthest within half a nat, m < 0": -0.5, "furthest within half a nat, m > 0": 0.5}
"""Where scores are told: the most utility lost (nats), with the side of zero."""
MOST_REASONS = 3
"""Of missing judgements, that are told."""


def judge(
    context: Context,
    folder: FolderArgument,
    judge: JudgesOption = "",
    scale: ScaleOption = "axbench",
    concept: ConceptOption = "",
    queries: QueriesOption = 30,
    samples: SamplesOption = 2,
    text_tokens: TextTokensOption = 48,
    instructions: InstructionsOption = "",
    gold: GoldOption = None,
    dry_run: Annotated[
        bool,
        running(
            "--dry-run",
            help="Say how much would be asked, and of whom; ask nothing. Texts that such judges read are written first.",
        ),
    ] = False,
    device: DeviceOption = None,
    store: StoreOption = None,
    jobs: JobsOption = None,
    retry: RetryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score what every steer of a finished study writes.

    Every steer writes several answers at every multiplier, and judges score them; the study's folder then holds their scores, its
    page shows them, and its claims rest on the first judge. Without --judge that is the exact checker on a guestbook, else a
    classifier. Nothing leaves this machine but to an endpoint that is named.
    """
    from analyses.studies.finished import Study
    from analyses.studies.plan import checked_concept
    from analyses.studies.settings import Settings
    from analyses.studies.study import run, store_folder
    from figures.page import draw_and_report

    from ..progress import say
    from ..store.store import Store

    summary = Study.load(folder, with_sweeps=False).summary
    settings = Settings.from_dict(summary["settings"])
    given: dict[str, Any] = {
        "scale": scale, "concept": concept, "queries": queries, "samples": samples, "text_tokens": text_tokens,
        "instructions": instructions, "gold": gold, "device": device,
    }  # fmt: skip
    settings = replace(settings, **{name: value for name, value in given.items() if was_asked(context, name)})
    judges = split_list(judge) or settings.judge or ("exact" if checked_concept(settings) else "classifier",)
    if summary.get("campaign") and not dry_run:
        # A cell is what its plan says: scores of one cell alone would change the claims that the campaign corrects together.
        raise InputError(
            f"{str(folder)!r} is a cell of a campaign, whose plan says how its texts are judged. Write judge = {list(judges)} "
            "there, and repeat `mechsteer campaign`: what is finished is kept."
        )
    settings = replace(settings, judge=judges, store=store, jobs=jobs, retry=retry)
    if not Store(place := store_folder(settings, folder)).is_there:
        raise InputError(
            f"The results that {str(folder)!r} was made from are not in {str(place)!r}, and would be computed anew. Name their "
            "store with --store, or run the study again with --judge."
        )

    def only_told(asked: Sequence[Any], otherwise: str = "Nothing is left to ask.") -> None:
        if as_json:
            echo_json({"asked": [asdict(item) for item in asked]})
        else:
            echo(*(map(str, asked) if asked else [otherwise]))
        raise typer.Exit

    if dry_run and not any(JUDGES[Request.parse(name, settings.scale).name].get("ASKED") for name in settings.judge):
        # No text need be written to know that.
        only_told((), f"No server is asked: {' and '.join(judges)} would score what is written here.")
    run(
        settings, folder, report=lambda line: say(line, indent=13), finish=draw_and_report,
        before_asking=only_told if dry_run else None,
    )  # fmt: skip
    study = Study.load(folder, with_sweeps=False)
    content = {
        "folder": str(folder),
        "told": study.summary["summary"]["judged"],
        "missing": study.summary["missing"],
        "judged": records(study.table("judged")) if study.sums.has("judged.parquet") else [],
        "judgements": list(_judgements(study.table("scores"))) if study.sums.has("scores.parquet") else [],
    }
    if as_json:
        echo_json(content)
    else:
        echo(*_told(content))


def _judgements(scores: "pd.DataFrame") -> Iterator[dict[str, Any]]:
    """Of each judge: how many judgements it was asked for, why some are missing, and how much probability lies on allowed answers
    where it is read by that."""
    for judge, rows in scores.groupby("judge", sort=False):
        failed = rows.loc[rows.failed != "", "failed"]
        mass = [float(value) for value in (rows["mass"].dropna() if "mass" in rows else [])]
        yield {
            "judge": judge, "n": len(rows), "n_failed": len(failed),
            "reasons": {str(why): int(n) for why, n in failed.value_counts().head(MOST_REASONS).items()},
            "mean_mass": sum(mass) / len(mass) if mass else None, "least_mass": min(mass, default=None),
        }  # fmt: skip


def _told(content: dict[str, Any]) -> Iterator[str | Table]:
    """A table for each judge: every steer where little is lost, aspect by aspect."""
    from ..store.keys import Key

    by_judge: dict[str, dict[str, dict[str, list[dict[str, Any]]]]] = {}
    for row in content["judged"]:
        steers = by_judge.setdefault(row["judge"], {})
        steers.setdefault(Key.of(row).steer, {}).setdefault(row["aspect"], []).append(row)
    for judge, steers in by_judge.items():
        sections = {
            steer: [
                (aspect, *(_score(_at(rows, lost)) for lost in SHOWN_AT.values()), _missing(rows))
                for aspect, rows in found.items()
            ]
            + _naming(next(iter(found.values())))
            for steer, found in steers.items()
        }
        about = next(row["about"] for row in content["judged"] if row["judge"] == judge)
        yield Table(f"By {judge}{f', {about}' if about else ''}", ("aspect", *SHOWN_AT, "missing"), sections)
    for row in content["judgements"]:
        yield from _said_of(row)
    yield from content["told"]
    if "scores" in content["missing"]:
        yield f"Not judged: {content['missing']['scores']}"
    if "reliability" in content["missing"]:
        yield f"How good a judge is, is not known: {content['missing']['reliability']}"
    yield f"Every text and score is in {content['folder']}: samples.parquet, scores.parquet."


def _at(rows: list[dict[str, Any]], lost: float) -> dict[str, Any]:
    """The row furthest out on its side that loses no more; the unsteered one where none does."""
    within = [row for row in rows if row["multiplier"] * lost > 0 and row["utility_lost"] <= abs(lost)]
    unsteered = [row for row in rows if not row["multiplier"]]
    return max(within or unsteered, key=lambda row: abs(row["multiplier"]))


def _naming(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The share of texts that hold a word of the concept's description, at the same multipliers; nothing where none does."""
    if not any(row["named"] for row in rows):
        return []
    return [("share that names it", *(f"{number(_at(rows, lost)['named'])}" for lost in SHOWN_AT.values()), "")]


def _said_of(row: dict[str, Any]) -> Iterator[str]:
    """What is known of a judge's answers, beside their scores."""
    from ..judges.local_model import LEAST_MASS

    if row["mean_mass"] is not None:
        yield (
            f"Of the probability by which {row['judge']} answers, {number(row['mean_mass'], 2)} lies on allowed answers on "
            f"average, and {number(row['least_mass'], 2)} at least. Below {LEAST_MASS:g} there is no score."
        )
    if row["n_failed"]:
        why = "; ".join(f"{reason} ({n:,})" for reason, n in row["reasons"].items())
        yield f"{row['n_failed']:,} of {row['n']:,} judgements by {row['judge']} are missing: {why}."


def _score(row: dict[str, Any]) -> str:
    if row["mean"] is None:
        return "-"
    at = f" at m = {number(row['multiplier'])}" if row["multiplier"] else ""
    return f"{number(row['mean'])} [{number(row['low'])}, {number(row['high'])}]{at}"


def _missing(rows: list[dict[str, Any]]) -> str:
    """How many, and what the mean over all texts would be had they been the worst, and the best: where that leaves most open."""
    n = sum(row["n_failed"] for row in rows)
    if not n:
        return "0"
    widest = max(rows, key=lambda row: row["best"] - row["worst"])
    bounds = f"{number(widest['worst'])} to {number(widest['best'])} at m = {number(widest['multiplier'])}"
    return f"{n} of {sum(row['n_texts'] for row in rows)}; {bounds}"
