"""A study, from settings to its folder: what is asked for is planned as units, and what the store lacks is computed."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mechsteer import guestbook
from mechsteer.errors import InputError
from mechsteer.measuring.recommended_site import recommend_site
from mechsteer.models.identity import ModelReference, identify, remember, remembered
from mechsteer.models.prompt_format import PromptFormat
from mechsteer.models.sites import parse_sites, write_sites
from mechsteer.pairs.checks import Checked, Finding, accept, check_pairs
from mechsteer.pairs.polarity import Pairs
from mechsteer.pairs.reading import load_pairs
from mechsteer.paths import resolved
from mechsteer.progress import Bar, progress_bar
from mechsteer.registry import extend
from mechsteer.store.atomic import write_json
from mechsteer.store.store import Store
from mechsteer.store.sums import LIST, write_sums
from mechsteer.store.units import Bench, Unit, in_order

from ..units.costs import Costs
from ..units.steers import ChooseSite, Imported, PairSet
from .contents import Chosen, describe, fill
from .finished import Study
from .folder import StudyFolder, files_of
from .judges import ToAsk, check_judges, forget_failed, to_ask
from .plan import ASKING, Subjects, checked_concept, plan, some_of, tokens_of
from .settings import Settings, parse_columns
from .workers import Workers, jobs_for

if TYPE_CHECKING:
    from mechsteer.interventions import Intervention
    from mechsteer.models.model import Model

N_SECOND = 100
"""Pairs of the second set that are measured."""
N_MADE = 2000
"""Pairs that a guestbook makes, of which those are kept that are new in all: one of four."""
Report = Callable[[str], None]
FINISH = 25.0
"""Seconds of one core that figures and the page take, about."""
Each = Callable[[Callable, Iterable], Iterator]
Finish = Callable[[Path, Each], None]
"""Adds to a study's folder, given something that maps as the built-in does, in several processes where there are any."""


def run(
    settings: Settings,
    out: Path,
    *,
    report: Report = print,
    finish: Finish | None = None,
    models: "Models | None" = None,
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
    # Those that were killed just before this run began may have been dying still.
    store.tidy()
    return Study.load(out)


@dataclass
class Stages:
    """Tells what is done, and how long it took."""

    report: Report
    seconds: dict[str, float] = field(default_factory=dict)
    bar: Bar = field(default_factory=Bar.hidden)
    """Of the whole study, from its pairs to its last figure."""
    costs: Costs = field(default_factory=Costs)
    n_jobs: int = 1
    _left: dict[str, Unit] | None = None
    """Units that are planned and not there yet; None until all is planned."""
    _since: float = field(default_factory=time.perf_counter)

    def plan(self, units: Iterable[Unit], bench: Bench, n_jobs: int) -> None:
        """All that the study will compute, in so many processes; figures and the page count as one unit more."""
        self._left = {unit.key: unit for unit in units if not bench.holds(unit.key)}
        self.n_jobs = n_jobs
        self.bar.add(len(self._left) + 1)

    def done(self, stage: str, words: str) -> None:
        """A stage, or a part of one, has ended."""
        now = time.perf_counter()
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + now - self._since, 2)
        self._since = now
        self.report(f"{stage:<13}{words}")

    def compute(self, stages: Sequence[tuple[str, Sequence[Unit]]], bench: Bench, workers: Workers) -> None:
        """The units of several stages: what the store lacks. A stage is told of once it and all before it are there; where
        there are several workers, those that it leaves idle have gone on to the next."""
        units = [unit for _, some in stages for unit in some]
        missing = {unit.key for unit in units if not bench.holds(unit.key)}
        to_tell = [(stage, {unit.key for unit in some}) for stage, some in stages if some]
        computed = {stage: len(keys & missing) for stage, keys in to_tell}
        of_stage = {key: stage for stage, keys in to_tell for key in keys}
        for unit in in_order(units):
            if unit.key not in missing:
                self.learn(unit, bench)

        def tell() -> None:
            while to_tell and not to_tell[0][1] & missing:
                stage, keys = to_tell.pop(0)
                found = len(keys) - computed[stage]
                self.done(stage, f"{computed[stage]} computed" + f", {found} found" * bool(found))

        def each(unit: Unit, was_there: bool) -> None:
            if unit.key in missing:
                missing.remove(unit.key)
                self.learn(unit, bench)
                if self._left is not None:
                    self._left.pop(unit.key, None)
                self.bar.advance(f"{of_stage[unit.key]}: {unit.words}", self._seconds_left())
                tell()

        tell()
        if (first := next((unit for unit in units if unit.key in missing), None)) is not None:
            self.bar.note(f"{of_stage[first.key]}: {first.words}", self._seconds_left())
        workers.compute(units, bench, each)

    def learn(self, unit: Unit, bench: Bench) -> None:
        """How long a unit took that is there."""
        if bench.holds(unit.key):
            self.costs.add(unit, float(bench.store.record(unit.key)["seconds"]))

    def _seconds_left(self) -> float | None:
        """How long the rest of the study takes: stages that have not begun, figures and the page too."""
        if self._left is None or (left := self.costs.seconds(self._left.values())) is None:
            return None
        return (left + FINISH) / self.n_jobs

    def told(self, workers: Workers) -> Each:
        """Maps as the workers do, and tells what is done."""

        def each(function: Callable, values: Iterable) -> Iterator:
            names = list(values)
            for n, (name, result) in enumerate(zip(names, workers.map(function, names), strict=True), 1):
                self.bar.note(f"finish: {name}", FINISH / self.n_jobs * (1 - n / len(names)))
                yield result

        return each


@dataclass
class Models:
    """The model that was opened last, for as long as the same one is asked for: two large ones need not fit."""

    _asked: tuple | None = None
    _open: "Model | None" = None

    def holds(self, asked: tuple) -> "Model | None":
        """The open model, if it is that one."""
        return self._open if self._asked == asked else None

    def open(self, asked: tuple) -> "Model":
        """A model by its name, dtype, device and the map of its devices."""
        if (found := self.holds(asked)) is not None:
            return found
        import mechsteer as ms
        from mechsteer.engine.unsteered import keep_unsteered

        self._asked = self._open = None
        name, dtype, device, device_map = asked
        opened = ms.load_model(name, device=device, dtype=dtype, device_map=device_map)
        ms.use_threads_for(opened)
        # Nobody else holds it, and no unit changes its weights.
        keep_unsteered(opened)
        self._asked, self._open = asked, opened
        return opened


def source_of(settings: Settings) -> Path:
    """The folder or file of the model, if it is one."""
    language = guestbook.LANGUAGES.get(settings.model)
    return Path(resolved(settings.model)) if language is None else language.model_folder


@dataclass
class Opener:
    """Knows a model by its files where the store has seen them, and opens it when something must be computed."""

    settings: Settings
    store: Store
    models: Models = field(default_factory=Models)

    def reference(self, pairs: Sequence[Pairs]) -> ModelReference:
        """Which model it is; one that is opened for it is tried on the pairs, before anything is computed or written."""
        if (found := remembered(self.store, source_of(self.settings), self.settings.dtype)) is not None:
            return replace(found, name=self.settings.model)
        from mechsteer.models.token_checks import check_tokens

        opened = self._load()
        for some in pairs:
            accept(check_tokens(opened, some, self.settings.format))
        return identify(opened)

    def settled_format(self, reference: ModelReference) -> str:
        """The prompt format, with the date of a chat template that writes one; the model need not be opened for that."""
        if PromptFormat.parse(self.settings.format).name != "chat" or not reference.asks_for_the_date:
            return self.settings.format
        from mechsteer.models.opening import load_tokenizer
        from mechsteer.models.prompts import settled

        opened = self.models.holds(self.settings.opened_as)
        tokenizer = (
            load_tokenizer(str(source_of(self.settings)), self.settings.dtype) if opened is None else opened.tokenizer
        )
        return settled(tokenizer, self.settings.format)

    def remember(self, reference: ModelReference) -> None:
        """Spare the next study of the same files the opening."""
        remember(self.store, source_of(self.settings), self.settings.dtype, reference)

    def open(self, reference: ModelReference) -> "Model":
        """The model itself."""
        model = self._load()
        if identify(model) != reference:
            raise InputError(f"The model {self.settings.model!r} has changed while it was studied. Repeat the command.")
        return model

    def _load(self) -> "Model":
        model = self.models.open(self.settings.opened_as)
        if self.settings.site != "auto":
            for site in parse_sites(self.settings.site):
                site.widths(model)
        return model


def store_folder(settings: Settings, out: Path) -> Path:
    """Where results are kept: as asked, as MECHSTEER_STORE says, or beside the study."""
    asked = settings.store or os.environ.get("MECHSTEER_STORE")
    return Path(asked) if asked else out.parent / ".store"


def is_done(folder: StudyFolder, plan_id: str) -> bool:
    """Whether the folder holds all that the plan would leave."""
    return folder.manifest().get("plan") == plan_id and folder.is_whole()


def subjects_of(settings: Settings, checked: Checked, opener: Opener) -> Subjects:
    """What is studied, once its pairs are accepted."""
    accept(checked.findings)
    learning, testing = checked.learning, checked.testing
    others, second = tuple(other_pairs(settings)), second_pairs(settings, checked)
    return Subjects(opener.reference([learning, testing, *second]), learning, testing, others, second)


def imported(settings: Settings, model: ModelReference) -> "dict[Imported, Intervention]":
    """The steers that came in files, read in the prompt format that is studied."""
    if not settings.intervention:
        return {}
    from mechsteer.formats.imported import content_of, for_study  # which need torch

    found = {}
    for file, name in zip(settings.intervention, settings.imported, strict=True):
        steer = for_study(file, name, model, settings.format)
        unit = Imported(
            model, content_of(steer), name, steer.form, write_sites(steer.sites), steer.rule.name,
            steer.origin.positions, settings.format,
        )  # fmt: skip
        found[unit] = steer
    return found


def checked_pairs(settings: Settings) -> Checked:
    """The pairs to learn from and those to measure, and what is wrong with them; one set is split in halves."""
    names = [settings.pairs] if settings.test_pairs is None else [settings.pairs, settings.test_pairs]
    columns = parse_columns(settings.columns)
    read = [limited(load_pairs(name, columns=columns, group=settings.group), settings) for name in names]
    return check_pairs(*read, seed=settings.seed, prompt_format=settings.format)


def limited(pairs: Pairs, settings: Settings) -> Pairs:
    """As many of the pairs as were asked for."""
    return pairs if settings.limit is None else pairs.balanced_sample(settings.limit, seed=settings.seed)


def other_pairs(settings: Settings) -> list[Pairs]:
    """Pairs of other concepts, on which side effects are measured; a guestbook's are its other concepts."""
    names = settings.other_pairs
    for language in guestbook.LANGUAGES.values():
        if not settings.other_pairs and settings.pairs.startswith(f"{language.name}/"):
            others = (concept for concept in language.concepts if not settings.pairs.endswith(concept))
            names = tuple(f"{language.name}/{concept}" for concept in others)
    return [limited(load_pairs(name), settings).distinct() for name in names]


def second_pairs(settings: Settings, checked: Checked) -> tuple[Pairs, ...]:
    """More pairs of the same concept, none of which teaches or is measured: of a file, or, for a guestbook's pairs, made anew."""
    used = (*checked.learning, *checked.testing)
    most = min(N_SECOND, len(checked.testing))
    if settings.second_pairs is None:
        return tuple(replace(made, items=made.items[:most]) for made in _made_anew(settings, checked))
    columns = parse_columns(settings.columns)
    found = limited(load_pairs(settings.second_pairs, columns=columns, group=settings.group), settings).distinct()
    known = {pair.texts for pair in used}
    if not (new := tuple(pair for pair in found if pair.texts not in known)):
        raise InputError(
            f"All pairs of {settings.second_pairs!r} teach or are measured already. Pass others of the same concept."
        )
    return (replace(found, items=new).balanced_sample(most, seed=settings.seed),)


def _made_anew(settings: Settings, checked: Checked) -> Iterator[Pairs]:
    """Of a guestbook's concept, by another seed, with queries that no pair has, and topics that none teaches."""
    known = {pair.query for pair in (*checked.learning, *checked.testing)}
    for language in guestbook.LANGUAGES.values():
        for concept in language.concepts:
            if settings.pairs == f"{language.name}/{concept}":
                made = language.pairs(concept, N_MADE, seed=settings.seed + 1)
                taught = set(checked.learning.groups)
                new = tuple(pair for pair in made if pair.query not in known and pair.group not in taught)
                if new:
                    yield replace(made, items=new, name=f"{made.name}-second")


def choose_site(settings: Settings, subjects: Subjects, bench: Bench) -> Chosen:
    """The site that was asked for, or the one that gains most for what it costs."""
    if settings.site != "auto":
        return Chosen(parse_sites(settings.site), "as asked", None)
    unit = site_choice(settings, subjects)
    choice = recommend_site(bench.get(unit), settings.layers_after)
    return Chosen((choice.site,), choice.because, unit)


def site_choice(settings: Settings, subjects: Subjects) -> ChooseSite:
    """The unit by which a site is chosen."""
    return ChooseSite(subjects.model, PairSet.of(subjects.learning), settings.format, settings.seed)
