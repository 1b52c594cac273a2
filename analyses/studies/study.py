"""The study: from a model and pairs to curves that say how steers work, where they fail, and which gains most."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mechsteer as ms
from mechsteer import guestbook
from mechsteer.measuring.sweeps import Sweep
from mechsteer.models.threads import use_threads_for
from mechsteer.progress import progress_bar
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store import versions

from ..claims import split_wins
from ..evidence import comparison, edited_weights, side_effects
from ..evidence.collection import collect
from ..evidence.texts import write_texts
from .finished import Study
from .folder import StudyFolder, write_json
from .settings import Settings, parse_columns, parse_multipliers
from .steers import Steer, learn, steers
from .verdict import judge_study

Report = Callable[[str], None]


class _Stages:
    """Tells what is done, and how long it took."""

    def __init__(self, report: Report):
        self.report, self.seconds, self._since = report, {}, time.perf_counter()

    def done(self, stage: str, words: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + now - self._since, 2)
        self._since = now
        self.report(f"{stage:<13}{words}")


def run(
    settings: Settings, out: Path, *, report: Report = print, finish: Callable[[Path], None] | None = None
) -> Study:
    """Do the whole study and leave it in `out`; `finish` adds to the folder (figures) before it is called complete.

    One part of the pairs teaches the steers, chooses the site and finds ranges; the other part is measured.
    """
    stages = _Stages(report)
    model = ms.load_model(settings.model, device=settings.device, dtype=settings.dtype)
    use_threads_for(model)
    learning, testing = split_pairs(settings)
    others = other_pairs(settings)
    moved = sum(pair.moved for pairs in (learning, testing) for pair in ms.encode_pairs(model, pairs, settings.format))
    if settings.site != "auto":
        ms.Site.parse(settings.site).widths(model)
    identity = _identity(settings, model, learning, testing, others)
    folder = StudyFolder.open(out, identity)
    try:
        _fill(
            folder, settings, model, learning, testing, others, identity | {"pairs_with_moved_boundary": moved}, stages
        )
        if finish is not None:
            finish(folder.work)
            stages.done("finish", "figures and the page")
            path = folder.work / "study.json"
            write_json(_read_json(path) | {"seconds": stages.seconds}, path)
    except ms.InputError:
        folder.abandon()
        raise
    folder.finish()
    return Study.load(out)


def _fill(
    folder: StudyFolder,
    settings: Settings,
    model: ms.Model,
    learning: ms.Pairs,
    testing: ms.Pairs,
    others: Sequence[ms.Pairs],
    identity: dict[str, Any],
    stages: "_Stages",
) -> None:
    """Every stage in turn, each kept in the folder as soon as it is done."""
    stages.done("model", f"{model.name}: {model.n_layers} layers of width {model.d_model}, on {model.device}")
    folder.once("pairs.jsonl", lambda path: path.write_text(testing.to_json_lines(), encoding="utf-8"))
    stages.done("pairs", f"{learning.name}: {len(learning)} to learn from, {len(testing)} to measure")

    site, because = _site(folder, settings, model, learning)
    stages.done("site", f"{site} ({site.hook}): {because}")

    sweeps, interventions = [], {}
    chosen = steers(settings)
    with progress_bar("Steers", len(chosen)) as bar:
        for index, steer in enumerate(chosen, start=1):
            intervention, sweep = _measure(folder, settings, steer, model, site, learning, testing)
            interventions[sweep.intervention] = intervention
            sweeps.append(sweep)
            stages.done("steers", f"{index}/{len(chosen)} {sweep.intervention}, m from {_range(sweep)}")
            bar.advance()
    ms.save_sweeps(sweeps, folder.work / "sweeps.parquet")

    fitted = [sweep for steer, sweep in zip(chosen, sweeps, strict=True) if steer.seed in (None, settings.seed)]
    fits = {
        sweep.intervention: folder.keep(
            f"parts/fit-{index}.json", _read_json, lambda sweep=sweep: fit(sweep, settings.seed), write_json
        )
        for index, sweep in enumerate(fitted)
    }
    write_json(fits, folder.work / "fits.json")
    n_fitted = sum(item["ok"] for both in fits.values() for item in both.values())
    stages.done("fits", f"{n_fitted} of {2 * len(fits)} curves fitted")

    verdict = []
    try:
        found = comparison.frontiers(sweeps, settings.seed)
    except ms.InputError as error:
        stages.done("frontier", f"none: {error}")
    else:
        comparison.table(found).to_parquet(folder.work / "frontier.parquet", index=False)
        differences = comparison.differences(found)
        differences.to_parquet(folder.work / "differences.parquet", index=False)
        verdict = comparison.sentences(differences)
        stages.done("frontier", f"{len(found)} methods and forms compared")
        _side_effects(folder, settings, model, interventions, fitted, testing, others)
        stages.done(
            "side effects",
            f"on {len(others)} other sets of pairs" + " and on generated answers" * _has_checker(settings),
        )

    judged = [
        (steer, sweep)
        for steer, sweep in zip(chosen, sweeps, strict=True)
        if f"{steer.method}-{steer.form}" in settings.claims and steer.seed in (None, settings.seed)
    ]
    if judged:
        _texts(folder, settings, model, judged, interventions, testing, stages)
        claims = _judge(folder, settings, model, judged, interventions, sweeps, learning, testing)
        outcomes = [sum(claim.outcome is outcome for claim in claims) for outcome in Outcome]
        stages.done("claims", ", ".join(f"{n} {outcome.value}" for n, outcome in zip(outcomes, Outcome, strict=True)))

        judged = [claim for claim in claims if claim.claim == split_wins.NAME]
        if verdict and judged:
            differences = comparison.as_judged(differences, judged)
            differences.to_parquet(folder.work / "differences.parquet", index=False)
            verdict = comparison.sentences(differences)

    first = sweeps[0]
    write_json(
        {
            **identity,
            "command": settings.command,
            "versions": versions.installed(),
            "site": {"site": str(site), "hook": site.hook, "because": because},
            "multipliers": {sweep.intervention: _multipliers(sweep) for sweep in sweeps},
            "summary": summarise(first, fits[first.intervention]) | {"comparison": verdict},
            "seconds": stages.seconds,
        },
        folder.work / "study.json",
    )
    folder.forget("parts")


def split_pairs(settings: Settings) -> tuple[ms.Pairs, ms.Pairs]:
    """The pairs to learn from and those to measure; one set is split in halves, by group where it has groups."""
    columns = {"columns": parse_columns(settings.columns), "group": settings.group}
    pairs = ms.load_pairs(settings.pairs, **columns)
    if settings.test_pairs is not None:
        return pairs, ms.load_pairs(settings.test_pairs, **columns)
    if len(pairs) < 8:
        raise ms.InputError(f"{pairs.name} holds {len(pairs)} pairs; a study needs at least eight, to split them.")
    return pairs.split(0.5, seed=settings.seed)


def other_pairs(settings: Settings) -> list[ms.Pairs]:
    """Pairs of other concepts, on which side effects are measured; the guestbook's are its other concepts."""
    names = settings.other_pairs
    if not names and settings.pairs.startswith("guestbook/"):
        names = tuple(f"guestbook/{concept}" for concept in guestbook.CONCEPTS if not settings.pairs.endswith(concept))
    return [ms.load_pairs(name) for name in names]


def fit(sweep: Sweep, seed: int) -> dict[str, dict[str, Any]]:
    """Both curves of a sweep, ready for JSON."""
    return {
        "preference": ms.fit_preference(sweep, seed=seed).to_dict(),
        "utility": ms.fit_utility(sweep, seed=seed).to_dict(),
    }


def summarise(sweep: Sweep, fits: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The figures that a reader wants first (nats, multipliers)."""
    preference, utility = sweep.preference.mean(axis=1), np.nanmean(sweep.utility, axis=1)
    zero = int(np.argmin(np.abs(sweep.multipliers)))
    within = utility >= utility[zero] - 1
    best = int(np.argmax(np.where(within, preference, -np.inf)))
    return {
        "intervention": sweep.intervention,
        "preference_at_zero": preference[zero],
        "utility_at_zero": utility[zero],
        "largest_preference_within_one_nat_of_utility": preference[best],
        "multiplier_of_it": sweep.multipliers[best],
        "relative_shift_of_it": float(sweep.relative_shift[best].mean()),
        "preference_held_out_r_squared": fits["preference"]["score"]["held_out_r_squared"],
        "utility_held_out_r_squared": fits["utility"]["score"]["held_out_r_squared"],
        "pairs_without_utility": int(np.isnan(sweep.utility).any(axis=0).sum()),
    }


def _identity(
    settings: Settings, model: ms.Model, learning: ms.Pairs, testing: ms.Pairs, others: Sequence[ms.Pairs]
) -> dict[str, Any]:
    def named(pairs: ms.Pairs) -> dict[str, Any]:
        return {"name": pairs.name, "n": len(pairs), "fingerprint": pairs.fingerprint}

    return {
        "settings": settings.to_dict(),
        "mechsteer": versions.MECHSTEER,
        "model": {
            "name": model.name,
            "revision": model.revision,
            "fingerprint": model.fingerprint,
            "dtype": str(model.dtype).removeprefix("torch."),
            "n_layers": model.n_layers,
            "d_model": model.d_model,
        },
        "pairs": {"learning": named(learning), "testing": named(testing), "others": [named(pairs) for pairs in others]},
    }


def _site(folder: StudyFolder, settings: Settings, model: ms.Model, pairs: ms.Pairs) -> tuple[ms.Site, str]:
    if settings.site != "auto":
        return ms.Site.parse(settings.site), "as asked"
    table = folder.keep(
        "sites.parquet",
        pd.read_parquet,
        lambda: ms.choose_site(model, pairs, prompt_format=settings.format, seed=settings.seed).table,
        lambda made, path: made.to_parquet(path, index=False),
    )
    choice = ms.recommend_site(table)
    return choice.site, choice.because


def _measure(
    folder: StudyFolder,
    settings: Settings,
    steer: Steer,
    model: ms.Model,
    site: ms.Site,
    learning: ms.Pairs,
    testing: ms.Pairs,
) -> tuple[ms.Intervention, Sweep]:
    """Learn one steer and sweep it, or take up what an interrupted run has kept of it."""
    intervention = folder.keep(
        f"interventions/{steer.slug}.safetensors",
        ms.load_intervention,
        lambda: learn(steer, model, learning, site, settings, folder.work / f"parts/{steer.slug}.checkpoint"),
        lambda made, path: made.save(path),
    )

    def sweep() -> Sweep:
        grid = (
            ms.find_multipliers(model, intervention, learning, prompt_format=settings.format)
            if settings.multipliers == "auto"
            else parse_multipliers(settings.multipliers)
        )
        return ms.run_sweep(model, intervention, testing, grid, prompt_format=settings.format, name=steer.name(site))

    return intervention, folder.keep(
        f"parts/{steer.slug}.parquet", Sweep.load, sweep, lambda made, path: made.save(path)
    )


def _texts(
    folder: StudyFolder,
    settings: Settings,
    model: ms.Model,
    judged: Sequence[tuple[Steer, Sweep]],
    interventions: dict[str, ms.Intervention],
    testing: ms.Pairs,
    stages: _Stages,
) -> None:
    """What the model writes under the steers that claims are asked of; a context too short for it costs these texts alone."""

    def write(steer: Steer, sweep: Sweep) -> pd.DataFrame:
        return folder.keep(
            f"parts/texts-{steer.slug}.parquet",
            pd.read_parquet,
            lambda: write_texts(
                model, interventions[sweep.intervention], testing, sweep.multipliers, name=sweep.intervention,
                prompt_format=settings.format, has_checker=_has_checker(settings),
            ),
            lambda made, path: made.to_parquet(path, index=False),
        )  # fmt: skip

    try:
        written = pd.concat([write(steer, sweep) for steer, sweep in judged], ignore_index=True)
    except ms.InputError as error:
        stages.done("texts", f"none: {error}")
    else:
        written.to_parquet(folder.work / "texts.parquet", index=False)
        stages.done("texts", f"{written['query'].nunique()} queries continued at every multiplier")


def _judge(
    folder: StudyFolder,
    settings: Settings,
    model: ms.Model,
    judged: Sequence[tuple[Steer, Sweep]],
    interventions: dict[str, ms.Intervention],
    sweeps: Sequence[Sweep],
    learning: ms.Pairs,
    testing: ms.Pairs,
) -> list[Claim]:
    """Collect evidence of the steers that claims are asked of, and judge the paper's claims by it."""
    for steer, sweep in judged:
        intervention = interventions[sweep.intervention]
        folder.once(
            f"evidence/{steer.slug}.npz",
            lambda path, intervention=intervention, sweep=sweep: collect(
                model, intervention, learning, testing, sweep, seed=settings.seed
            ).save(path),
        )
    folder.once(
        "evidence/one_operation.parquet",
        lambda path: pd.concat(
            edited_weights.compare(model, steer, testing, sweep)
            for steer, sweep in _one_of_each_form(interventions, sweeps)
        ).to_parquet(path, index=False),
    )
    return judge_study(folder.work)


def _one_of_each_form(
    interventions: dict[str, ms.Intervention], sweeps: Sequence[Sweep]
) -> list[tuple[ms.Intervention, Sweep]]:
    first = {sweep.form: sweep for sweep in reversed(sweeps)}
    return [(interventions[sweep.intervention], sweep) for sweep in first.values()]


def _side_effects(
    folder: StudyFolder,
    settings: Settings,
    model: ms.Model,
    interventions: dict[str, ms.Intervention],
    sweeps: Sequence[Sweep],
    testing: ms.Pairs,
    others: Sequence[ms.Pairs],
) -> None:
    """Steer both ways to where one nat of utility is lost, and look at everything else."""
    log_odds, exact = [], []
    for sweep in sweeps:
        item = ms.frontier([sweep], n_resamples=1)
        multipliers = item.multiplier[:, item.budgets.index(1.0)].tolist()
        steer, name = interventions[sweep.intervention], sweep.intervention
        log_odds.append(
            side_effects.on_other_pairs(
                model, steer, [testing, *others], multipliers, name=name, prompt_format=settings.format
            )
        )
        if _has_checker(settings):
            queries = [pair.query for pair in testing[:64]]
            exact.append(
                side_effects.on_the_guestbook(model, steer, queries, multipliers, name=name, seed=settings.seed)
            )
    for name, tables in (("side_effects", log_odds), ("answers", exact)):
        if tables:
            pd.concat(tables, ignore_index=True).to_parquet(folder.work / f"{name}.parquet", index=False)


def _has_checker(settings: Settings) -> bool:
    """Whether answers can be judged exactly: the guestbook's model, asked the guestbook's questions."""
    return settings.model == "guestbook" and settings.pairs.startswith("guestbook/")


def _range(sweep: Sweep) -> str:
    return f"{sweep.multipliers[0]:.3g} to {sweep.multipliers[-1]:.3g}"


def _multipliers(sweep: Sweep) -> dict[str, float]:
    return {
        "low": sweep.multipliers[0],
        "high": sweep.multipliers[-1],
        "n": len(sweep.multipliers),
        "relative_shift_low": float(sweep.relative_shift[0].mean()),
        "relative_shift_high": float(sweep.relative_shift[-1].mean()),
    }


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text())
