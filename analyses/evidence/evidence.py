"""Evidence: everything that the claims about one steer are judged on, as arrays, so that judging needs no model."""

import json
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from mechsteer.errors import InputError
from mechsteer.measuring.sweeps import Sweep
from mechsteer.models.sites import Site, write_sites
from mechsteer.store.atomic import write_atomically
from mechsteer.store.keys import Key, canonical


@dataclass(frozen=True, eq=False)
class LayerActivations:
    """Residual activations at completion tokens, at one place: unsteered, and under each of k multipliers.

    `learning` holds tokens of the learning pairs, from which the manifold is estimated. `base` and `steered` hold the same
    tokens of the test pairs, without and with the steer.
    """

    learning: Float[ndarray, "points d"]
    base: Float[ndarray, "tokens d"]
    steered: Float[ndarray, "k tokens d"]


def why_none(sites: Sequence[Site], rule: str) -> str:
    """Why no evidence can be collected for a steer with these sites and this rule; "" where it can."""
    if len(sites) == 1 and rule == "add":
        return ""
    return (
        f"Evidence needs a steer that adds m·Δh at one site, and this one acts at {write_sites(sites)} by the rule {rule}. "
        "Study a steer that adds at one site."
    )


@dataclass(frozen=True, eq=False)
class Evidence:
    """The evidence on one steer, with its pairs and its site."""

    sweep: Sweep
    """The sweep of the test pairs. Its key says which steer, pairs and site the evidence is about."""
    learning_sweep: Sweep
    """The sweep of learning pairs at the same multipliers."""
    multipliers: Float[ndarray, " k"]
    """Multipliers at which activations were read: a few of the sweep's, without zero."""
    token_pair: Int[ndarray, " tokens"]
    """Index of each test token's pair in the sweep."""
    token_id: Int[ndarray, " tokens"]
    """The vocabulary id of each test token."""
    token_position: Int[ndarray, " tokens"]
    """Its position in its text, from zero."""
    learning_token_id: Int[ndarray, " points"]
    learning_token_position: Int[ndarray, " points"]
    """Id and position of the learning tokens."""
    layers: dict[int, LayerActivations]
    """By layer: the steered site, shift included, and resid_post of later layers."""
    site_layer: int
    delta: Float[ndarray, "pairs d"]
    """Δh at multiplier one, mean over the steered positions of a test pair."""
    gradient_preference: Float[ndarray, "pairs d"]
    """Per test pair at m = 0: change of preference (nats) per unit of a shift added equally at all steered positions."""
    gradient_utility: Float[ndarray, "pairs d"]
    """The same for utility."""
    slope_preference: Float[ndarray, " pairs"]
    """dPreference/dm at m = 0 of the steer itself, by automatic differentiation (nats per unit of multiplier)."""
    slope_utility: Float[ndarray, " pairs"]
    has_layer_norm: bool
    answers: pd.DataFrame = field(default_factory=pd.DataFrame)
    """On the guestbook: a row per multiplier with the checker's shares and concept values of generated answers."""
    concept: str = ""
    """On the guestbook: the concept of the pairs."""
    seed: int = 0

    @property
    def key(self) -> Key:
        """What the evidence is about."""
        return self.sweep.key

    def of(self, key: Key) -> "Evidence":
        """The same evidence under another key: other names, or fewer of its fields."""
        return replace(self, sweep=replace(self.sweep, key=key))

    def save(self, path: str | Path) -> Path:
        """Write one .npz of plain arrays, whole or not at all."""
        arrays: dict[str, Any] = {
            item.name: getattr(self, item.name) for item in fields(self) if item.name not in _NESTED
        }
        for name in ("sweep", "learning_sweep"):
            sweep = getattr(self, name)
            known = {item.name: getattr(sweep, item.name) for item in fields(Sweep) if item.name != "key"}
            arrays |= {f"{name}.{field}": value for field, value in known.items() if value is not None}
            arrays[f"{name}.key"] = canonical(sweep.key.columns())
        for layer, activations in self.layers.items():
            arrays |= {f"layers.{layer}.{item.name}": getattr(activations, item.name) for item in fields(activations)}
        arrays |= {f"answers.{name}": self.answers[name].to_numpy() for name in self.answers}
        arrays = {name: np.asarray(value) for name, value in arrays.items()}
        # Words are kept as fixed-width text: objects would need pickle.
        plain = {name: value.astype(str) if value.dtype == object else value for name, value in arrays.items()}
        return write_atomically(path, lambda temporary: np.savez(temporary, allow_pickle=False, **plain))

    @classmethod
    def load(cls, path: str | Path) -> "Evidence":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: value.item() if value.ndim == 0 else value for name, value in file.items()}
        grouped: dict[str, dict[str, Any]] = {}
        for name, value in arrays.items():
            group, _, rest = name.rpartition(".")
            grouped.setdefault(group, {})[rest] = value
        for name in ("sweep", "learning_sweep"):
            grouped[name]["pairs"] = tuple(grouped[name]["pairs"].tolist())
            grouped[name]["key"] = Key.of(json.loads(grouped[name]["key"]))
        needed = {item.name for item in fields(cls) if item.default is MISSING and item.default_factory is MISSING}
        if lacking := needed - _NESTED - grouped[""].keys():
            raise InputError(
                f"{str(path)!r} is evidence by another version, without {', '.join(sorted(lacking))}. Run its study again."
            )
        return cls(
            **grouped[""],
            sweep=Sweep(**grouped["sweep"]),
            learning_sweep=Sweep(**grouped["learning_sweep"]),
            layers={
                int(group.removeprefix("layers.")): LayerActivations(**values)
                for group, values in grouped.items()
                if group.startswith("layers.")
            },
            answers=pd.DataFrame(grouped.get("answers", {})),
        )


_NESTED = {"sweep", "learning_sweep", "layers", "answers"}
