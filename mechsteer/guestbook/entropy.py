"""The entropy of the guestbook's answers, exactly.

Every opening shows every concept and no answer has two derivations, so an answer tells its setting and its derivation:
H(answer | query) = H(setting | query) + H(derivation | setting), the latter a sum over slots.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from math import log

import numpy as np

from .grammar import N_SENTENCES, OPENINGS, REVEALS, SEQUELS
from .patterns import Patterns, pattern_probability
from .words import Setting, example_settings, forms, settings_of


def answer_entropy() -> float:
    """Nats per token of an answer, its end included, given its query; mean over the corpus."""
    n_sequels = _mean(N_SENTENCES.values(), N_SENTENCES) - 1
    settings = example_settings()  # each stands for equally many
    opening_nats, opening_tokens = np.mean([_nats_and_tokens(OPENINGS, setting) for setting in settings], axis=0)
    sequel_nats, sequel_tokens = np.mean([_nats_and_tokens(SEQUELS, setting) for setting in settings], axis=0)
    setting_nats = _setting_entropy(settings_of(settings[0].noun))  # the same for every noun
    nats = setting_nats + _entropy(N_SENTENCES.values()) + opening_nats + n_sequels * sequel_nats
    return float(nats / (opening_tokens + n_sequels * sequel_tokens + 1))


def _nats_and_tokens(patterns: Patterns, setting: Setting) -> tuple[float, float]:
    """The entropy of a sentence's derivation, and its expected length."""
    nats, tokens = zip(*(_parts(pattern, setting) for pattern in patterns), strict=True)
    weights = patterns.values()
    return _entropy(weights) + _mean(weights, nats), _mean(weights, tokens)


def _parts(pattern: str, setting: Setting) -> tuple[float, float]:
    nats = tokens = 0.0
    for part in pattern.split():
        weights = [form.weight for form in forms(part, setting)]
        nats += _entropy(weights)
        tokens += _mean(weights, [len(form.words) for form in forms(part, setting)])
    return nats, tokens


def _setting_entropy(settings: Sequence[Setting]) -> float:
    """H(setting | query): what the line before the question leaves open, over all such lines."""
    lines = {
        sum((form.words for form in line), ())
        for setting in settings
        for pattern in REVEALS
        for line in product(*(forms(part, setting) for part in pattern.split()))
    }
    joint = [[pattern_probability(line, REVEALS, setting) / len(settings) for setting in settings] for line in lines]
    return sum(sum(line) * _entropy(line) for line in joint)


def _entropy(weights: Iterable[float]) -> float:
    weights = [weight for weight in weights if weight]
    total = sum(weights)
    return -sum(weight / total * log(weight / total) for weight in weights)


def _mean(weights: Iterable[float], values: Iterable[float]) -> float:
    weights = list(weights)
    return sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)
