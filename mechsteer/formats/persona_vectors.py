"""Vectors of persona_vectors: one tensor with a row for every layer, of which one is used."""

from pathlib import Path

import torch

from ..errors import InputError
from ..interventions.base import Intervention, Origin
from ..interventions.vector import SteeringVector
from ..models.sites import Site
from .named import index
from .pickles import read_pickle, tensor_in, write_pickle

NAME = "persona-vectors"
TITLE = "a row for every layer, of persona_vectors"
ORDER = 60
SUFFIXES = (".pt",)
ASKS = {"site": "which row acts: after block 15 as 15:resid_post, which the file and its authors call layer 16"}
SAYS = {"forms": ("vector",), "places": ("resid_post",), "several": True}


def recognises(path: Path) -> bool:
    """Never: other formats look the same."""
    return False


def read(path: Path, site: str) -> Intervention:
    """Row 0 is of the embeddings, so that row b + 1 is of the output of block b."""
    rows = tensor_in(read_pickle(path), path, (2,))
    where = Site.parse(site)
    if where.place != "resid_post":
        raise InputError(
            f"Its rows are of what leaves a block, and {site} is another place. Name a site at resid_post."
        )
    row = index(str(where.layer + 1), "row", len(rows))
    return SteeringVector(where, rows[row].clone(), origin=Origin(positions="every"))


def write(intervention: Intervention, path: Path) -> Path:
    """The rows of layers that are not steered are zero."""
    (d_model,) = {shift.widths[1] for shift in intervention.shifts.values()}
    rows = torch.zeros(intervention.sites[-1].layer + 2, d_model)
    for site, shift in intervention.shifts.items():
        rows[site.layer + 1] = shift.as_weights(d_model, d_model)[1]
    return write_pickle(rows, path)
