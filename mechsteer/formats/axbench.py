"""Weights of AxBench's methods: one tensor with a row for every concept, all at one layer that it does not say."""

from pathlib import Path

from ..errors import InputError
from ..interventions.base import Intervention, Origin
from ..interventions.vector import SteeringVector
from ..models.sites import Site
from .named import index
from .pickles import read_pickle, tensor_in

NAME = "axbench"
TITLE = "a row for every concept, of AxBench"
ORDER = 80
SUFFIXES = (".pt",)
ASKS = {
    "layer": "the block, counted from 0, at whose output the method was learned",
    "row": "the concept's number, counted from 0",
}
LEAVES = {"scale": "by which factor its maker multiplied it, and with which sign; say it as #scale=..."}
END = "_weight.pt"


def recognises(path: Path) -> bool:
    """Whether it is called as AxBench calls its weights."""
    return path.name.endswith(END)


def read(path: Path, layer: str, row: str) -> Intervention:
    """A direction as it was learned; AxBench multiplies it by a factor and by the largest activation that it saw."""
    rows = tensor_in(read_pickle(path), path, (2,))
    if path.name.startswith(("LoReFT", "LoRA", "SFT")) or path.name.endswith("_gating" + END):
        raise InputError(f"{str(path)!r} is of a method that adds no vector. Pass the weights of one that does.")
    site = Site(index(layer, "layer", 10_000), "resid_post")
    return SteeringVector(site, rows[index(row, "row", len(rows))].clone(), origin=Origin(positions="every"))
