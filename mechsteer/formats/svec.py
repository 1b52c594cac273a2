"""Vectors of IBM's activation-steering: JSON with a direction for every layer, some of which act."""

import re
from pathlib import Path

import torch

from ..interventions.base import Intervention, Origin
from ..interventions.joint import join
from ..interventions.vector import SteeringVector
from ..models.sites import Site
from ..store.reading import damaged, parsing, read_json
from .layers import layers_of

NAME = "svec"
TITLE = "of IBM's activation-steering"
ORDER = 90
SUFFIXES = (".svec",)
ASKS = {"layers": "which act, such as 15-22 or 15+17: the behaviour layers, counted from 0"}
LEAVES = {"scale": "by which factor its maker multiplied it, and with which sign; say it as #scale=..."}


def recognises(path: Path) -> bool:
    """By its suffix."""
    return path.suffix in SUFFIXES


def read(path: Path, layers: str) -> Intervention:
    """Added to the residual that enters each of the layers."""
    found = read_json(path, {"model_type": str, "directions": {str: [float]}})
    with parsing(path, "table of directions"):
        directions = {
            int(name): torch.tensor(values, dtype=torch.float32)
            for name, values in found["directions"].items()
            if re.fullmatch(r"\d{1,5}", name)
        }
    if len(directions) < len(found["directions"]) or len({len(values) for values in directions.values()}) != 1:
        raise damaged(path, "its directions are not one of the same length for each layer")
    origin = Origin(positions="every", settings={"model_type": found["model_type"]})
    return join(
        [
            SteeringVector(Site(layer, "resid_pre"), directions[layer], origin=origin)
            for layer in layers_of(layers, list(directions), path)
        ]
    )
