"""Steering of EasySteer, which serves by vLLM: JSON that holds vectors and says at which tokens they are added."""

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, shown
from ..interventions.base import Intervention, Origin
from ..interventions.joint import join
from ..interventions.vector import SteeringVector
from ..models.sites import Site
from ..store.atomic import write_json
from ..store.reading import damaged, parsing, read_json
from ..store.schema import misfit
from . import gguf_vector
from .layers import layers_of

NAME = "easysteer"
TITLE = "a specification for EasySteer"
ORDER = 120
SUFFIXES = (".json",)
ASKS = {}
SAYS = {"forms": ("vector",), "places": ("resid_post",), "several": True, "positions": ("every", "completion")}
APPLY = {"every": {"prompt": "all", "generation": "all"}, "completion": {"generation": "all"}}
DEFAULTS = {"algorithm": "direct", "scale": 1.0, "layers": None, "normalize": False, "source": None, "data": None}
SHAPE = {"algorithm": str, "scale": float, "layers": [int], "normalize": bool, "source": str | None, "data": object}
VERSION, KIND, START = 1, "direction", "layer."
"""Of its `DirectionVector`, as JSON carries it."""


def recognises(path: Path) -> bool:
    """Whether it begins as one does."""
    if path.suffix not in SUFFIXES or not path.is_file():
        return False
    with path.open("rb") as file:
        return b'"vectors"' in file.read(1 << 10)


def read(path: Path) -> Intervention:
    """A vector after each block that it names, counted from 0, scaled as it says."""
    parts = []
    for given in read_json(path, {"vectors": [{"apply": {str: object}}]})["vectors"]:
        vector: dict[str, Any] = DEFAULTS | given
        if wrong := misfit({**vector, "layers": vector["layers"] or []}, SHAPE):
            raise damaged(path, shown(wrong))
        if vector["algorithm"] != "direct" or vector["normalize"]:
            raise InputError(
                f"{str(path)!r} does more than to add vectors. Pass one that is direct and not normalised."
            )
        apply = {name: value for name, value in vector["apply"].items() if value is not None}
        positions = next((name for name, tokens in APPLY.items() if tokens == apply), None)
        if positions is None:
            known = " or ".join(map(str, APPLY.values()))
            raise InputError(
                f"{str(path)!r} steers the tokens {shown(apply)}, which are no positions here. Those are {known}."
            )
        directions = _source(vector["source"], path) if vector["source"] else _inline(vector["data"], path)
        layers = layers_of("+".join(map(str, vector["layers"] or ())), [*directions], path)
        parts += [
            SteeringVector(
                Site(layer, "resid_post"), vector["scale"] * directions[layer], origin=Origin(positions=positions)
            )
            for layer in layers
        ]
    return join(parts)


def _source(name: str, path: Path) -> dict[int, Tensor]:
    """The control vector that it names, beside it or from where we run."""
    # Not path.is_file(), which raises where a name is too long to be one.
    file = next((place for place in (path.parent / name, Path(name)) if os.path.isfile(place)), None)
    if file is None:
        raise InputError(
            f"{str(path)!r} names the file {shown(name)!r}, which is not there. Put it beside the specification."
        )
    shifts = gguf_vector.read(file).shifts
    return {site.layer: tensor for site, shift in shifts.items() for tensor in shift.tensors.values()}


def _inline(data: Any, path: Path) -> dict[int, Tensor]:
    """The vectors that stand in it."""
    with parsing(path, "specification with vectors"):
        if (data["version"], data["kind"]) != (VERSION, KIND):
            raise ValueError(f"its data are of version {data['version']!r} and kind {data['kind']!r}")
        return {
            int(name.removeprefix(START)): torch.from_numpy(_array(entry).copy())
            for name, entry in data["tensors"].items()
        }


def _array(entry: Mapping[str, Any]) -> np.ndarray:
    (length,) = entry["shape"]
    return np.frombuffer(base64.b64decode(entry["data"], validate=True), "<f4").reshape(length)


def write(intervention: Intervention, path: Path) -> list[Path]:
    """What `SteeringSpec`, the HTTP field `steering` and `--steering-config` take, the vectors in it: it may lie anywhere."""
    vector = {
        "data": _wire(
            {site.layer: tensor for site, shift in intervention.shifts.items() for tensor in shift.tensors.values()}
        ),
        "algorithm": "direct",
        "scale": 1.0,
        "layers": [site.layer for site in intervention.sites],
        "normalize": False,
        "apply": APPLY.get(intervention.origin.positions, APPLY["every"]),
        "name": intervention.name,
    }
    return [write_json({"vectors": [vector], "conflict": "priority"}, path)]


def _wire(directions: Mapping[int, Tensor]) -> dict[str, Any]:
    """`DirectionVector(directions).to_wire()`, its bytes in base64; by the hash a server knows what it holds already."""
    arrays = {
        f"{START}{layer}": value.detach().float().cpu().numpy().astype("<f4") for layer, value in directions.items()
    }
    digest = hashlib.sha256(f"{KIND}:{VERSION}".encode())
    for name, array in sorted(arrays.items()):
        digest.update(name.encode() + str(array.shape).encode() + array.tobytes())
    return {
        "version": VERSION,
        "kind": KIND,
        "tensors": {
            name: {"shape": [*array.shape], "data": base64.b64encode(array.tobytes()).decode()}
            for name, array in arrays.items()
        },
        "extra": {},
        "sha256": digest.hexdigest(),
    }
