"""Vectors of the package steering-vectors: what torch.save makes of its `SteeringVector`, or of that one's fields."""

from pathlib import Path

from ..errors import InputError
from ..interventions.base import Intervention, Origin
from ..interventions.joint import join
from ..interventions.vector import SteeringVector
from ..models.sites import Site
from ..store.reading import damaged
from .pickles import read_pickle, tensor_in, write_pickle

NAME = "steering-vectors"
TITLE = "of the package steering-vectors"
ORDER = 45
SUFFIXES = (".pt", ".pth")
ASKS = {}
PLACES = {"decoder_block": "resid_post", "self_attn": "attn.o", "mlp": "mlp.out"}
SAYS = {"forms": ("vector",), "places": ("resid_post", "attn.o", "mlp.out"), "several": True}
FIELD = "layer_activations"


class Fields:
    """Stands for the package's class, and only holds what was pickled."""


def recognises(path: Path) -> bool:
    """Whether it begins as one does."""
    if path.suffix not in SUFFIXES or not path.is_file():
        return False
    with path.open("rb") as file:
        return FIELD.encode() in file.read(1 << 12)


def read(path: Path) -> Intervention:
    """A vector at each layer, counted from 0, at the output of a block, of its attention or of its MLP."""
    found = read_pickle(path, [(Fields, "steering_vectors.steering_vector.SteeringVector")])
    fields = vars(found) if isinstance(found, Fields) else found
    if not isinstance(fields, dict) or not isinstance(layers := fields.get(FIELD), dict) or not layers:
        raise damaged(path, f"it holds no {FIELD}")
    kind = fields.get("layer_type", "decoder_block")
    if not isinstance(kind, str) or kind not in PLACES:
        raise InputError(f"{str(path)!r} acts at {kind!r}, which is no site. Those are {', '.join(PLACES)}.")
    parts = []
    for layer, value in layers.items():
        if not isinstance(layer, int) or isinstance(layer, bool):
            raise damaged(path, f"its layer {layer!r} is no number")
        direction = tensor_in(value, path, (1, 2)).flatten()
        parts.append(SteeringVector(Site(layer, PLACES[kind]), direction, origin=Origin(positions="every")))
    return join(parts)


def write(intervention: Intervention, path: Path) -> list[Path]:
    """Its fields, so that `SteeringVector(**torch.load(path))` is the package's own."""
    places = {site.place for site in intervention.sites}
    if len(places) > 1:
        raise InputError(f"steering-vectors acts at one place of many layers, not at {' and '.join(sorted(places))}.")
    (kind,) = (kind for kind, place in PLACES.items() if place in places)
    layers = {
        site.layer: direction.detach().float().cpu().clone()
        for site, shift in intervention.shifts.items()
        for direction in shift.tensors.values()
    }
    return [write_pickle({FIELD: layers, "layer_type": kind}, path)]
