"""Decoder rows of a sparse autoencoder in SAELens's folder: the direction that a feature writes."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ..errors import InputError
from ..interventions.base import Intervention, Origin
from ..interventions.vector import SteeringVector
from ..models.hooks import SAE_HOOK, place_called
from ..models.sites import Site
from ..store.reading import damaged, read_json
from .named import index

NAME = "sae"
TITLE = "a decoder row of an SAE of SAELens"
ORDER = 100
SUFFIXES = ()
ASKS = {"row": "the feature's number, counted from 0"}
MAY = {"site": "where its SAE stands, if it stands elsewhere than at a residual stream that its settings name"}
LEAVES = {"scale": "how far the feature is to be turned up or down, which no SAE says; say it as #scale=..."}
CONFIG, WEIGHTS, DECODER = "cfg.json", "sae_weights.safetensors", "W_dec"


def recognises(path: Path) -> bool:
    """Whether the folder holds one."""
    return (path / CONFIG).is_file() and (path / WEIGHTS).is_file()


def read(path: Path, row: str, site: str = "") -> Intervention:
    """The row of the decoder, as long as it is there."""
    config = read_json(path / CONFIG, {str: object})
    metadata = config.get("metadata")
    told = {**config, **metadata} if isinstance(metadata, dict) else config
    hook, model = (value if isinstance(value := told.get(name), str) else "" for name in (SAE_HOOK, "model_name"))
    place = place_called(hook)
    if not site and place is None:
        raise InputError(
            f"The SAE in {str(path)!r} stands at {hook or 'no hook that it names'!r}, which is not in the residual stream. Say "
            f"where its directions are added: {path.name}#row={row}#site=8:mlp.out."
        )
    where = Site(*place) if place and not site else Site.parse(site)
    try:
        with safe_open(path / WEIGHTS, framework="pt") as file:
            rows = file.get_slice(DECODER)
            direction = rows[index(row, "row", rows.get_shape()[0])].float()
    except (SafetensorError, OSError, IndexError, TypeError) as error:
        raise damaged(path / WEIGHTS, f"it holds no decoder that can be read ({error})") from error
    if direction.ndim != 1 or not torch.is_floating_point(direction):
        raise damaged(path / WEIGHTS, f"{DECODER} is no table of directions")
    return SteeringVector(where, direction, origin=Origin(positions="every", model=model))
