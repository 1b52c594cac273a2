"""Vectors of persona_vectors: one tensor with a row for every layer, of which one or more are used."""

from pathlib import Path

import torch

from ..errors import InputError
from ..interventions.base import Intervention, Origin
from ..interventions.joint import join
from ..interventions.vector import SteeringVector
from ..models.sites import parse_sites
from .named import index
from .pickles import read_pickle, tensor_in, write_pickle

NAME = "persona-vectors"
TITLE = "a row for every layer, of persona_vectors"
ORDER = 60
SUFFIXES = (".pt",)
ASKS = {
    "site": "which rows act: after block 15 as 15:resid_post, which the file and its authors call layer 16; several with commas"
}
SAYS = {"forms": ("vector",), "places": ("resid_post",), "several": True}


def recognises(path: Path) -> bool:
    """Never: other formats look the same."""
    return False


def read(path: Path, site: str) -> Intervention:
    """Row 0 is of the embeddings, so that row b + 1 is of the output of block b."""
    rows = tensor_in(read_pickle(path), path, (2,))
    sites = parse_sites(site)
    if others := [where for where in sites if where.place != "resid_post"]:
        raise InputError(
            f"Its rows are of what leaves a block, and {others[0]} is another place. Name a site at resid_post."
        )
    chosen = {where: rows[index(str(where.layer + 1), "row", len(rows))].clone() for where in sites}
    return join([SteeringVector(where, row, origin=Origin(positions="every")) for where, row in chosen.items()])


def write(intervention: Intervention, path: Path) -> list[Path]:
    """The rows of layers that are not steered are zero."""
    (d_model,) = {shift.widths[1] for shift in intervention.shifts.values()}
    rows = torch.zeros(intervention.sites[-1].layer + 2, d_model)
    for site, shift in intervention.shifts.items():
        rows[site.layer + 1] = shift.as_weights(d_model, d_model)[1]
    return [write_pickle(rows, path)]
