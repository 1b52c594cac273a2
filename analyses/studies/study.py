"""A study, from settings to its folder: what is asked for is planned as units, and what the store lacks is computed."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from mechsteer.models.prompt_format import PromptFormat
from mechsteer.pairs.checks import Finding, accept
from mechsteer.progress import progress_bar
from mechsteer.registry import extend
from mechsteer.store.atomic import write_json
from mechsteer.store.store import Store
from mechsteer.store.sums import LIST, write_sums
from mechsteer.store.units import Bench

from ..units.steers import PairSet
from .contents import fill
from .finished import Study
from .folder import StudyFolder, files_of
from .judges import ToAsk, check_judges, forget_failed, to_ask
from .manifest import describe
from .opening import Models, Opener
from .plan import ASKING, checked_concept, plan, some_of, tokens_of
from .settings import Settings
from .site import choose_site, site_choice
from .stages import Each, Report, Stages
from .subjects import checked_pairs, imported, subjects_of
from .workers import Workers, jobs_for

Finish = Callable[[Path, Each], None]
"""Adds to a study's folder, given something that maps as the built-in does, in several processes where there are any."""


def run(
    settings: Settings,
    out: Path,
    *,
    report: Report = print,
    finish: Finish | None = None,
    models: Models | None = None,
    before_asking: Callable[[Sequence[ToAsk]], None] | None = None,
) -> Study:
    """Do the study and leave it in `out`; `finish` adds to the folder (figures) before it is put in its place.

    One part of the pairs teaches the steers, chooses the site and finds ranges; the other part is measured. Studies that
    share `models` open each but once. `before_asking` is told what judges will be asked, before the first question, or that it
    is nothing; by default that is reported.
    """
    for path in settings.extend:
        extend(path)
    check_judges(settings, checked_concept(settings))
    if few := settings.few_multipliers:
        report(f"{'multipliers':<13}{few}")
    stages = Stages(report)
    folder = StudyFolder.at(out)
    earlier = folder.manifest().get("settings", {})
    # What was done so before may still be judged and drawn.
    if _asked(earlier, ASKED) != _asked(settings.to_dict(), ASKED):
        settings.check_judgeable()
    store = Store(store_folder(settings, folder.out))
    with progress_bar("pairs", None) as stages.bar, ExitStack() as held:
        checked = checked_pairs(settings)
        learning, testing = checked.learning, checked.testing
        opener = Opener(settings, store, models or Models())
        stages.bar.note("model")
        subjects = subjects_of(settings, checked, opener)
        settings = replace(settings, format=opener.settled_format(subjects.model))
        steers = imported(settings, subjects.model)
        subjects = replace(subjects, steers=tuple(steers))
        store.prepare()
        held.enter_context(store.shared())
        opener.remember(subjects.model)
        held.enter_context(folder.held(store.folder / "locks"))
        workers = held.enter_context(Workers(store, settings))
        bench = Bench(store, opener.open, retry=settings.retry)
        for pairs in (*subjects.all_pairs, some_of(subjects.learning, settings.seed)):
            bench.put(PairSet.of(pairs), pairs)
        for unit, steer in steers.items():
            bench.put(unit, steer)
        model = subjects.model
        stages.done("model", f"{model.name}: {model.n_layers} layers of width {model.d_model}")
        if settings.format != PromptFormat.parse(settings.format).name:
            stages.done("format", settings.format)
        stages.done("pairs", f"{learning.name}: {len(learning)} to learn from, {len(testing)} to measure")
        tokens = tokens_of(settings, subjects)
        stages.compute([("tokens", tokens)], bench, workers)
        of_tokens = (Finding(**found) for unit in tokens for found in bench.get(unit)["findings"])
        findings = accept([*checked.findings, *of_tokens])
        for finding in findings:
            stages.done("check", str(finding))
        workers.n_jobs = jobs_for(settings, model)
        if settings.site == "auto" and not bench.holds(site_choice(settings, subjects).key):
            # Nothing is there yet, so there will be work for them; they get ready while the site is chosen.
            workers.open(model)
        stages.bar.note("site")
        chosen = choose_site(settings, subjects, bench)
        if chosen.unit is not None:
            stages.learn(chosen.unit, bench)
        stages.done("site", f"{chosen} ({chosen.hooks}): {chosen.because}")
        planned = plan(settings, subjects, str(chosen), chosen.unit)
        if planned.scores and (told := planned.scores[0].samples.told):
            stages.done("queries", told)
        if settings.retry:
            forget_failed(planned.judging, planned.units, bench)
        if is_done(folder, planned.id) and (
            not settings.retry or all(bench.holds(item.key) for item in planned.judging)
        ):
            if before_asking is not None:
                before_asking([])
            report(f"{'done':<13}{out} holds this study already: nothing was to do")
            return Study.load(out)
        stages.plan(planned.units, bench, workers.n_jobs)
        todo = list(planned.stages)
        if planned.scores:
            before = next(at for at, (stage, _) in enumerate(todo) if stage == ASKING)
            stages.compute(todo[:before], bench, workers)
            asked = to_ask(planned.judging, bench)
            if before_asking is not None:
                before_asking(asked)
            for item in asked:
                stages.done(ASKING, str(item))
            # Here alone: several processes would ask the same twice, and limits of how much is asked at once would add up.
            stages.compute(todo[before : before + 1], bench, Workers(store, settings))
            todo = todo[before + 1 :]
        stages.compute(todo, bench, workers)

        def make(work: Path) -> None:
            fill(work, planned, bench, chosen)
            about = describe(planned, subjects, work, bench, chosen, findings)
            stages.done("tables", "put together from the store")
            write_json(about | {"seconds": stages.seconds, "files": []}, work / "study.json")
            if finish is not None:
                finish(work, stages.told(workers))
                stages.done("finish", "figures and the page")
            stages.bar.advance()
            files = sorted({*files_of(work), LIST})
            write_json(about | {"seconds": stages.seconds, "files": files}, work / "study.json")
            write_sums(work)

        folder.replace(make)
        if earlier and _asked(earlier, STUDIED) != _asked(settings.to_dict(), STUDIED):
            report(f"{'replaced':<13}{out} held a study of other pairs, steers or multipliers before")
    # Those that were killed just before this run began may have been dying still.
    store.tidy()
    return Study.load(out)


def store_folder(settings: Settings, out: Path) -> Path:
    """Where results are kept: as asked, as MECHSTEER_STORE says, or beside the study."""
    asked = settings.store or os.environ.get("MECHSTEER_STORE")
    return Path(asked) if asked else out.parent / ".store"


STUDIED = ("model", "pairs", "test_pairs", "site", "rule", "methods", "forms", "multipliers", "limit", "format")
"""Settings that say what a study is of; it may be judged, drawn or kept elsewhere and be the same."""
ASKED = ("methods", "forms", "multipliers", "claims")
"""Those by which it would measure nothing, or be asked about what it does not learn."""


def _asked(settings: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    """As a study's folder has them, or a new one will."""
    return json.loads(json.dumps([settings.get(name) for name in names]))


def is_done(folder: StudyFolder, plan_id: str) -> bool:
    """Whether the folder holds all that the plan would leave."""
    return folder.manifest().get("plan") == plan_id and folder.is_whole()
