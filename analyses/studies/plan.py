"""The plan of a study: every unit of it, stage by stage."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mechsteer import guestbook
from mechsteer.errors import InputError
from mechsteer.families import FORMS, RECIPES, RULES
from mechsteer.methods.learning import is_trained, methods
from mechsteer.methods.recipes.base import STEPS
from mechsteer.methods.settings import TrainSettings
from mechsteer.models.identity import ModelReference
from mechsteer.models.sites import parse_sites, write_sites
from mechsteer.pairs.asking import Asking
from mechsteer.pairs.polarity import Pairs
from mechsteer.store.keys import digest
from mechsteer.store.units import Unit
from mechsteer.store.versions import MECHSTEER

from ..claims import CLAIMS
from ..evidence.evidence import why_none
from ..units.comparing import Ask, Compare
from ..units.evidence import Chance, Collect, Cover, EditWeights, FreezeNorms
from ..units.followed import Follow
from ..units.judged import Differences, Reliability, Score
from ..units.looks import Answer, LayerEffects, SecondUtility, SideEffects, SteerPairs, Write
from ..units.panels import Panel
from ..units.steers import ChooseSite, FindRange, Imported, Learn, PairSet, Steer, Tokens
from ..units.sweeps import Fit, Measure
from ..units.tuning import Trial
from ..units.two_options import TwoOptions
from ..units.verdicts import Given, Judge
from .folder import FORMAT
from .judges import differences_of, reliabilities_of, scores_of
from .settings import Settings, n_to_find, parse_multipliers

ASKING = "asking"
"""The stage of judges that are asked in words."""
N_LEARNING_PAIRS = 100
"""Of those that teach, how many are swept too."""


@dataclass(frozen=True)
class Subjects:
    """What is studied: a model, pairs that teach, pairs that are measured, and pairs of other concepts."""

    model: ModelReference
    learning: Pairs
    testing: Pairs
    others: tuple[Pairs, ...]
    second: tuple[Pairs, ...] = ()
    """Of the same concept as those that are measured; one set, or none."""
    steers: tuple[Imported, ...] = ()
    """That came in files; they are measured beside what is learned."""

    @property
    def all_pairs(self) -> tuple[Pairs, ...]:
        return (self.learning, self.testing, *self.others, *self.second)


@dataclass(frozen=True)
class Plan:
    """Units by stage, in the order in which they are done; each stage is ready once its last unit is."""

    settings: Settings
    site: str
    tokens: tuple[Tokens, ...]
    sweeps: tuple[Measure, ...]
    """One for each steer; the first is the one that the study speaks of."""
    fits: tuple[Fit, ...]
    asked: tuple[Ask, ...]
    comparison: Compare
    single_pairs: tuple[SteerPairs, ...]
    two_options: tuple[TwoOptions, ...]
    followed: tuple[Follow, ...]
    """Of steers whose evidence does not say where tokens go."""
    second_utility: tuple[SecondUtility, ...]
    side_effects: tuple[SideEffects, ...]
    by_layer: tuple[LayerEffects, ...]
    answers: tuple[Answer, ...]
    texts: tuple[Write, ...]
    evidence: tuple[Collect, ...]
    edited: tuple[EditWeights, ...]
    chance: tuple[Chance, ...]
    coverage: tuple[Cover, ...]
    frozen: tuple[FreezeNorms, ...]
    panel: tuple[Panel, ...]
    trials: tuple[Trial, ...]
    scores: tuple[Score, ...]
    """Of every steer by each judge, those of the first judge first."""
    reliability: tuple[Reliability, ...]
    differences: tuple[Differences, ...]
    """Between steers, by judges whose errors are known."""
    verdicts: tuple[Judge, ...]

    @property
    def judged(self) -> tuple[Measure, ...]:
        """The sweeps of the steers that claims were asked of."""
        return tuple(unit.sweep for unit in self.chance)

    @property
    def judging(self) -> tuple[Score | Reliability, ...]:
        """What judges say, and how good they are."""
        return (*self.scores, *self.reliability)

    @property
    def stages(self) -> Iterator[tuple[str, tuple[Unit, ...]]]:
        """The name of each stage, and its units; how pairs become tokens is known before there is a plan. Judges that are
        asked in words come first."""
        yield "tuning", self.trials
        yield "steers", self.sweeps
        yield "fits", self.fits
        yield "frontier", (*self.asked, self.comparison)
        forecasts = dict.fromkeys(unit.forecast for unit in self.single_pairs)
        yield "single pairs", (*forecasts, *self.single_pairs, *self.two_options)
        yield "second", self.second_utility
        yield "manifold", (*dict.fromkeys(unit.map for unit in self.followed), *self.followed)
        yield "side effects", (*self.side_effects, *self.by_layer, *self.answers)
        yield "texts", (*self.texts, *dict.fromkeys(unit.samples for unit in self.scores))
        yield ASKING, tuple(unit for unit in self.judging if unit.bar.asks)
        yield "judges", (*(unit for unit in self.judging if not unit.bar.asks), *self.differences)
        judged_by = (*self.panel, *self.evidence, *self.edited, *self.chance, *self.coverage, *self.frozen)
        yield "claims", (*judged_by, *self.verdicts)

    @property
    def units(self) -> Iterator[Unit]:
        """All that the study's folder rests on."""
        yield from self.tokens
        for _, units in self.stages:
            yield from units

    @property
    def id(self) -> str:
        """Differs where the study's folder would."""
        keys = [unit.key for unit in self.units]
        return digest([FORMAT, MECHSTEER, self.settings.to_dict(), keys])


def plan(settings: Settings, subjects: Subjects, site: str, chosen: ChooseSite | None = None) -> Plan:
    """All units of a study at a site, or at several, with commas; and what it was chosen by, if it was."""
    seed, model = settings.seed, subjects.model
    learning, testing = PairSet.of(subjects.learning), PairSet.of(subjects.testing)
    others, second = ([PairSet.of(pairs) for pairs in some] for some in (subjects.others, subjects.second))
    tried = {
        (method, form): trials(settings, learner(settings, model, learning, site, method, form, seed))
        for method, form in settings.steers()
        if is_trained(method)
    }
    learned = [
        replace(
            learner(settings, model, learning, site, method, form, training_seed), trials=tried.get((method, form), ())
        )
        for method, form in settings.steers()
        for training_seed in (range(seed, seed + settings.seeds) if is_trained(method) else (seed,))
    ]
    steers: list[Steer] = [*learned, *subjects.steers]
    sweeps = tuple(Measure(steer, testing, multipliers(settings, steer, learning)) for steer in steers)
    by_slug = {sweep.result.slug: sweep.result for sweep in sweeps}
    for sweep in sweeps:
        if (other := by_slug[sweep.result.slug]) != sweep.result:
            raise InputError(
                f"The files of {sweep.result.steer} and {other.steer} would be called the same. Study one, or rename it."
            )
    first_seeds = tuple(sweep for sweep in sweeps if sweep.steer.seed in (None, seed))
    judged = tuple(s for s in first_seeds if f"{s.steer.method}-{s.steer.form}" in settings.claims)
    concept = checked_concept(settings)
    taught = PairSet.of(some_of(subjects.learning, seed))
    may_have = [s for s in first_seeds if not why_none(parse_sites(s.steer.sites), s.steer.rule)]
    has_evidence = [sweep for sweep in may_have if sweep in judged]
    evidence = tuple(
        Collect(sweep, Measure(sweep.steer, taught, sweep.multipliers), learning, concept, seed)
        for sweep in has_evidence
    )
    without = tuple(sweep for sweep in judged if sweep not in has_evidence)
    one_of_each_form = {sweep.steer.form: sweep for sweep in reversed(sweeps)} if judged else {}
    edited = tuple(EditWeights(sweep) for sweep in one_of_each_form.values())
    chance = tuple(Chance(sweep, learning, seed) for sweep in judged)
    coverage = tuple(Cover(sweep, tuple(second), concept, seed) for sweep in judged)
    frozen = tuple(FreezeNorms(sweep) for sweep in judged)
    panel = tuple(
        Panel(sweep, learning, tuple(others), settings.panel, concept, seed)
        for sweep in (has_evidence[:1] if settings.panel else ())
    )
    scores = scores_of(settings, sweeps, learning, concept)
    # Claims rest on the first judge.
    spoken = scores[: len(sweeps)]
    tables: dict[str, Sequence[Any]] = {
        "scores": [unit for unit in spoken if unit.samples.sweep in judged], "all_scores": [spoken] if spoken else [],
        "one_operation": edited, "panel": panel, "chance": chance, "coverage": coverage, "frozen_norms": frozen
    }  # fmt: skip
    reliability = reliabilities_of(settings, scores)
    asked = tuple(Ask(sweeps[0], asking) for asking in asking_of(settings))
    by_layer = (LayerEffects(chosen, parse_sites(site)[0].place, tuple(others)),) if chosen and others else ()
    return Plan(
        settings=settings,
        site=site,
        tokens=tokens_of(settings, subjects),
        sweeps=sweeps,
        fits=tuple(Fit(sweep, seed) for sweep in first_seeds),
        asked=asked,
        comparison=Compare(sweeps, asked, seed),
        single_pairs=tuple(SteerPairs.of(sweep, learning, seed) for sweep in first_seeds),
        two_options=tuple(
            TwoOptions(sweep, seed) for sweep in (sweeps if any(pair.key for pair in subjects.testing) else ())
        ),
        # The map of evidence is drawn of its first steer alone.
        followed=tuple(Follow.of(sweep, learning, seed) for sweep in may_have if sweep not in has_evidence[:1]),
        second_utility=tuple(SecondUtility(sweep, concept, seed) for sweep in first_seeds),
        side_effects=tuple(SideEffects(sweep, tuple(others)) for sweep in first_seeds),
        by_layer=by_layer,
        answers=tuple(Answer(sweep, concept, seed) for sweep in first_seeds if concept),
        texts=tuple(Write(sweep, concept) for sweep in first_seeds),
        evidence=evidence,
        edited=edited,
        chance=chance,
        coverage=coverage,
        frozen=frozen,
        panel=panel,
        trials=tuple(trial for some in tried.values() for trial in some),
        scores=scores,
        reliability=reliability,
        differences=tuple(differences_of(scores, reliability, seed)),
        verdicts=tuple(verdicts(sweeps, (*evidence, *without), tables, seed)),
    )


def tokens_of(settings: Settings, subjects: Subjects) -> tuple[Tokens, ...]:
    """How the pairs become tokens, and what is wrong with them then."""
    return tuple(
        Tokens(subjects.model, PairSet.of(pairs), settings.format)
        for pairs in (subjects.learning, subjects.testing, *subjects.second)
    )


def learner(
    settings: Settings, model: ModelReference, pairs: PairSet, site: str, method: str, form: str, seed: int
) -> Learn:
    """How one steer is learned: on the same pairs as every other, as the recipe says."""
    training, rule = TrainSettings(prompt_format=settings.format), settings.rule
    code = methods()[method].code + FORMS[form].code + RULES[rule].code
    if is_trained(method):
        training = settings.training
        recipe = training.settled(method, form)
        site = write_sites(recipe.placed(parse_sites(site)))
        if recipe.steps is None and recipe.epochs is None:
            # By its number, so that what is kept is not taken for what another default gives.
            training = replace(training, steps=STEPS)
        code += RECIPES[settings.recipe.partition(":")[0]].code
    training = replace(training, seed=seed)
    return Learn(model, pairs, site, method, form, training, settings.seed, is_trained(method), code, rule)


def trials(settings: Settings, steer: Learn) -> tuple[Trial, ...]:
    """The settings that are tried of a steer; of one alone nothing is chosen."""
    return tuple(Trial(steer, number, settings.seed) for number in range(settings.tune if settings.tune > 1 else 0))


def multipliers(settings: Settings, steer: Steer, learning: PairSet) -> FindRange | tuple[float, ...]:
    """The multipliers that were asked for, or the range from no effect to collapse."""
    if (n := n_to_find(settings.multipliers)) is not None:
        return FindRange(steer, learning, n)
    return tuple(parse_multipliers(settings.multipliers).tolist())


def some_of(pairs: Pairs, seed: int) -> Pairs:
    """As many as are swept of the pairs that teach."""
    return pairs.sample(min(N_LEARNING_PAIRS, len(pairs)), seed=seed)


def verdicts(
    sweeps: tuple[Measure, ...],
    evidence: Sequence[Collect | Measure],
    tables: Mapping[str, Sequence[Given]],
    seed: int,
) -> Iterator[Judge]:
    """Every claim on what it needs, in the order of the paper's argument; where no evidence can be, on the judged sweeps. Where
    claims are asked of no steer, those that compare several stay."""
    if not evidence and len(sweeps) < 2:
        return
    for name, member in CLAIMS.members().items():
        needs = member.get("NEEDS", "evidence")
        # What speaks of the model, its pairs and the site is the same whatever is added there.
        of_steers = evidence if member.get("SCOPE", "steer") == "steer" else evidence[:1]
        for given in [sweeps] if needs == "sweeps" else tables.get(needs, of_steers):
            yield Judge.by(name, given, seed)


def asking_of(settings: Settings) -> tuple[Asking, ...]:
    """How the concept is asked for in words: as the settings say, on a guestbook by the line that tells who speaks."""
    if settings.ask_for:
        return (Asking(settings.ask_against, settings.ask_for),)
    if concept := checked_concept(settings):
        return (Asking(*(guestbook.language_of(concept).reveal(concept, side) + " {query}" for side in (-1, 1))),)
    return ()


def checked_concept(settings: Settings) -> str:
    """The concept that answers can be judged on exactly: on a guestbook's model, that of its own pairs; else ""."""
    house, _, concept = settings.pairs.partition("/")
    return concept if settings.model == house and house in guestbook.LANGUAGES else ""
