"""What a study is of: pairs that teach, are measured, or are of something else, and steers that came in files."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from mechsteer import guestbook
from mechsteer.errors import InputError
from mechsteer.models.identity import ModelReference
from mechsteer.models.sites import write_sites
from mechsteer.pairs.checks import FEW, FEWEST, Checked, accept, check_pairs
from mechsteer.pairs.polarity import Pairs
from mechsteer.pairs.reading import load_pairs

from ..units.steers import Imported
from .opening import Opener
from .plan import Subjects
from .settings import Settings, parse_columns

if TYPE_CHECKING:
    from mechsteer.interventions import Intervention

N_SECOND = 100
"""Pairs of the second set that are measured."""
N_MADE = 2000
"""Pairs that a guestbook makes, of which those are kept that are new in all: one of four."""


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
    from mechsteer.formats.imported import for_study  # which need torch

    found = {}
    for file, name in zip(settings.intervention, settings.imported, strict=True):
        steer = for_study(file, name, model, settings.format)
        unit = Imported(
            model, steer.content, name, steer.form, write_sites(steer.sites), steer.rule.name,
            steer.origin.positions, settings.format,
        )  # fmt: skip
        found[unit] = steer
    return found


def checked_pairs(settings: Settings) -> Checked:
    """The pairs to learn from and those to measure, and what is wrong with them; one set is split in halves."""
    names = [settings.pairs] if settings.test_pairs is None else [settings.pairs, settings.test_pairs]
    columns = parse_columns(settings.columns)
    read = [limited(load_pairs(name, columns=columns, group=settings.group), settings) for name in names]
    if settings.limit is not None and settings.limit < 2 * FEWEST and settings.test_pairs is None:
        raise InputError(
            f"--limit {settings.limit} leaves too few pairs to learn from half of them and measure the others. Raise it to "
            f"{2 * FEWEST} or more; {2 * FEW} give intervals to rely on."
        )
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
