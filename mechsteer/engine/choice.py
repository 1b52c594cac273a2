"""Which engine serves a model: the fast one where it gives the numbers of whole texts in a trial, else the plain one."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from ..interventions import Intervention
from ..models.model import Model
from ..models.others import is_hooked
from ..models.prompts import EncodedPair
from ..models.sites import Site
from ..models.switches import passed
from .base import Engine
from .fast import Fast
from .memory import keep_freed_memory
from .plain import Plain
from .rows import n_tokens
from .trial import Trial, longest, pair_like, short_pairs
from .vocabulary import Unembedding

_log = logging.getLogger("mechsteer")


@dataclass(frozen=True)
class _Asked:
    """What a trial was of: a place, and every number of the configuration that texts and rows of the pairs pass."""

    place: str
    by_texts: frozenset[int]
    by_rows: frozenset[int]


# By model: the engine that a trial chose and why it was not a faster one, and what has been said.
_TRIED: WeakKeyDictionary[Model, dict[_Asked, tuple[Engine, str]]] = WeakKeyDictionary()
_SAID: WeakKeyDictionary[Model, set[str]] = WeakKeyDictionary()


def engine_for(model: Model, intervention: Intervention, pairs: Sequence[EncodedPair]) -> Engine:
    """The fast engine, or the plain one with a line in the log that says why, once for each model.

    A hook that somebody has put on the model sees whole texts, as it would without an engine.
    """
    if model.device.type == "cpu":
        keep_freed_memory()
    site, rule = intervention.sites[0], intervention.rule
    if is_hooked(model, model.bridge) or is_hooked(model, model.hf):
        engine, why = Plain(model), "somebody else's hooks stand on it"
    else:
        engine, why = _tried(model, site, pairs)
        if isinstance(engine, Fast) and not rule.is_per_token:
            engine, why = Plain(model), f"the rule {rule.name} looks beyond single tokens"
    if why and why not in _SAID.setdefault(model, set()):
        _SAID[model].add(why)
        _log.warning("%s is measured by whole texts, several times slower: %s.", model.name, why)
    return engine


def _tried(model: Model, site: Site, pairs: Sequence[EncodedPair]) -> tuple[Engine, str]:
    """By a trial on short pairs and, where those that are to be measured pass a switch that these do not, on pairs as long."""
    short = short_pairs(model)
    texts, rows = ([max(map(length, some)) for some in (pairs, short)] for length in (_longer_text, n_tokens))
    # What the last token of a text sees reaches no loss, so that short pairs show less than their lengths.
    asked = _Asked(site.place, *(passed(model, given, beyond=tried - 2) for given, tried in (texts, rows)))
    tried = _TRIED.setdefault(model, {})
    if asked not in tried:
        more = longest(pairs) if asked.by_texts or asked.by_rows else []
        tried[asked] = _try(Trial(model, site, [*short, *(pair_like(model, pair) for pair in more)]))
    return tried[asked]


def _longer_text(pair: EncodedPair) -> int:
    return max(len(pair.positive), len(pair.negative))


def _try(trial: Trial) -> tuple[Engine, str]:
    model, place = trial.model, trial.site.place
    unembedding = Unembedding.of(model)
    if unembedding is None:
        why = "its last module is not a linear map in memory"
    else:
        fast = Fast(model, unembedding)
        try:
            if not trial.fails(fast):
                return fast, ""
            why = f"at {place} a shortened forward gives other numbers"
        except (
            RuntimeError,
            ValueError,
            TypeError,
            AttributeError,
            KeyError,
            IndexError,
            NotImplementedError,
        ) as error:
            why = f"at {place} a shortened forward fails ({type(error).__name__})"
    if trial.fails(Plain(model)):
        return Plain(model, alone=True), f"{why}, and what a batch holds besides a text reaches its losses"
    return Plain(model), why
