"""EasyEdit's `layer_L.pt`: one vector, LoRA or local weight, added where a block ends; it does not say of which layer."""

from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import InputError
from ..interventions.base import Intervention, Origin, Shift
from ..interventions.local_weight import LocalWeight
from ..interventions.lora import LoRA
from ..interventions.vector import SteeringVector
from ..models.sites import Site
from .named import index
from .pickles import read_pickle, tensor_in, write_pickle

NAME = "easyedit"
TITLE = "layer_L.pt of EasyEdit"
ORDER = 50
SUFFIXES = (".pt", ".pth", ".bin")
ASKS = {"layer": "the block, counted from 0, that the file is called after (layer_14.pt)"}
MAY = {"row": "of several concepts in one file, which; counted from 0"}
SAYS = (
    {"forms": ("vector",), "places": ("resid_post",), "several": False, "positions": ("all",)},
    {"forms": ("lora", "local_weight"), "places": ("mlp.bypass",), "several": False},
)
COMPONENT = "mlp_mid"
ACTS = {"intervention_components": COMPONENT}


def recognises(path: Path) -> bool:
    """Never: other formats look the same."""
    return False


def read(path: Path, layer: str, row: str = "") -> Shift:
    """A vector is for every token but BOS; weights read what the down-projection reads, and act on every token."""
    value = read_pickle(path)
    number = index(layer, "layer", 10_000)
    if isinstance(value, dict) and value and all(isinstance(name, int) for name in value):
        value = value[sorted(value)[index(row or "0", "row", len(value))]]
    if isinstance(value, dict):
        return _weights(value, path, Site(number, "mlp.bypass"))
    direction = tensor_in(value, path, (1, 2))
    if direction.ndim == 2:
        if len(direction) > 1 and not row:
            raise InputError(f"{str(path)!r} holds {len(direction)} vectors. Say which: {path.name}#row=0.")
        direction = direction[index(row or "0", "row", len(direction))]
    return SteeringVector(Site(number, "resid_post"), direction.clone(), origin=Origin(positions="all"))


def _weights(value: dict[str, Any], path: Path, site: Site) -> Shift:
    origin = Origin(positions="every")
    if value.get("intervention_components", COMPONENT) != COMPONENT:
        raise InputError(
            f"{str(path)!r} acts on {value['intervention_components']!r}, and only {COMPONENT!r} is known. Learn it there."
        )
    # x A B and x W + b, where ours are B A x and W x + b; its alpha is stored and never used.
    if {"lora_A", "lora_B"} <= value.keys():
        down, up = (tensor_in(value[name], path, (2,)).T.contiguous() for name in ("lora_A", "lora_B"))
        return LoRA(site, down, up, origin=origin)
    if {"weight", "bias"} <= value.keys():
        weight: Tensor = tensor_in(value["weight"], path, (2,)).T.contiguous()
        return LocalWeight(site, weight, tensor_in(value["bias"], path, (1, 2)).flatten(), origin=origin)
    raise InputError(
        f"{str(path)!r} holds neither a vector nor a LoRA nor a local weight of EasyEdit. Name its format."
    )


def write(intervention: Intervention, path: Path) -> list[Path]:
    """Under the name by which EasyEdit finds what acts at the layer."""
    ((site, shift),) = intervention.shifts.items()
    if path.name != (name := f"layer_{site.layer}.pt"):
        raise InputError(
            f"--out is {str(path)!r}. EasyEdit finds a steer at {site} by its file's name: call it {name}."
        )
    held = {name: tensor.detach().float().cpu() for name, tensor in shift.tensors.items()}
    if isinstance(shift, LoRA):
        rank, down, up = len(shift.down), held["down"].T.contiguous(), held["up"].T.contiguous()
        return [write_pickle({"lora_A": down, "lora_B": up, "r": rank, "alpha": rank, **ACTS}, path)]
    if isinstance(shift, LocalWeight):
        return [write_pickle({"weight": held["weight"].T.contiguous(), "bias": held["bias"].clone(), **ACTS}, path)]
    return [write_pickle(held["direction"].clone(), path)]
