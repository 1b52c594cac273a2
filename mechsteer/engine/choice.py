"""Which engine serves a model: the fast one where it gives the plain one's numbers on a small example, else the plain one."""

import logging
from weakref import WeakKeyDictionary

import numpy as np
import torch

from ..interventions import Intervention, SteeringVector
from ..interventions.relative_shift import STATISTICS
from ..models.model import Model
from ..models.prompts import EncodedPair
from ..models.sites import Site
from .base import Engine
from .fast import Fast
from .memory import keep_freed_memory
from .plain import Plain
from .prefix import is_hooked
from .vocabulary import Unembedding

MEDIAN = STATISTICS.index("median")

_log = logging.getLogger("mechsteer")

# By model, why the fast engine does not serve a place ("" where it does), and what has been said.
_TRIED: WeakKeyDictionary[Model, dict[str, str]] = WeakKeyDictionary()
_SAID: WeakKeyDictionary[Model, set[str]] = WeakKeyDictionary()


def engine_for(model: Model, intervention: Intervention) -> Engine:
    """The fast engine, or the plain one with a line in the log that says why, once for each model.

    A hook that somebody has put on the model sees whole texts, as it would without an engine.
    """
    if model.device.type == "cpu":
        keep_freed_memory()
    site, rule = intervention.sites[0], intervention.rule
    fast, why_not = None, ""
    if not rule.is_per_token:
        why_not = f"the rule {rule.name} looks beyond single tokens"
    elif is_hooked(model, model.bridge) or is_hooked(model, model.hf):
        why_not = "somebody else's hooks stand on it"
    elif (unembedding := Unembedding.of(model)) is None:
        why_not = "its last module is not a linear map in memory"
    else:
        fast = Fast(model, unembedding)
        tried = _TRIED.setdefault(model, {})
        if site.place not in tried:
            tried[site.place] = _try(fast, site)
        why_not = tried[site.place]
    if fast is not None and not why_not:
        return fast
    if why_not not in _SAID.setdefault(model, set()):
        _SAID[model].add(why_not)
        _log.warning("%s is measured by whole texts, several times slower: %s.", model.name, why_not)
    return Plain(model)


def _try(fast: Fast, site: Site) -> str:
    """Both engines on two small pairs, under a vector as large as what it is added to; why they differ, or nothing."""
    model = fast.model
    plain = Plain(model)
    direction = torch.randn(site.widths(model)[1], generator=torch.Generator().manual_seed(0))
    vector = SteeringVector(site, direction)
    tokens = np.random.default_rng(0).integers(model.d_vocab, size=9).tolist()
    pairs = [
        EncodedPair("long", 3, tuple(tokens[:5]), (*tokens[:3], *tokens[6:9])),
        EncodedPair("short", 2, tuple(tokens[4:8]), (*tokens[4:6], tokens[0])),
    ]
    try:
        shift = plain.sweep(vector, pairs, np.ones(1), "all")[1][:, MEDIAN]
        for positions in ("all", "completion"):
            multipliers = np.array([0.0, 0.5]) / max(float(shift.mean()), 1e-6)
            expected, _ = plain.sweep(vector, pairs, multipliers, positions)
            found, _ = fast.sweep(vector, pairs, multipliers, positions)
            tolerance = max(1e-4, 4 * torch.finfo(model.dtype).eps) * np.abs(expected).max()
            if not np.allclose(found, expected, rtol=0, atol=tolerance):
                return f"at {site.place} a shortened forward gives other numbers"
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError) as error:
        return f"at {site.place} a shortened forward fails ({type(error).__name__})"
    return ""
