"""Directions of refusal-direction: one at the input of a layer, or all that were candidates, by position and layer."""

from pathlib import Path

from ..errors import InputError
from ..interventions.base import Intervention, Origin
from ..interventions.vector import SteeringVector
from ..models.sites import Site
from ..store.atomic import write_json
from ..store.reading import read_json
from .beside import exported
from .named import index
from .pickles import read_pickle, tensor_in, write_pickle

NAME = "refusal-direction"
TITLE = "direction.pt of refusal-direction"
ORDER = 70
SUFFIXES = (".pt",)
ASKS = {}
MAY = {
    "layer": "the layer at whose input it acts, counted from 0; by default what direction_metadata.json beside it says",
    "position": "of several, which: 0 is the first that the tensor has",
}
SAYS = {"forms": ("vector",), "places": ("resid_pre",), "several": False}
LEAVES = {"rule": "whether it is added or projected out; --rule project_out does the latter"}
METADATA = "direction_metadata.json"


def recognises(path: Path) -> bool:
    """Whether what says its layer lies beside it."""
    return path.suffix in SUFFIXES and path.stem == "direction" and (path.parent / METADATA).is_file()


def read(path: Path, layer: str = "", position: str = "") -> Intervention:
    """Added to the residual that enters the layer; to take a direction out instead is the rule project_out."""
    tensor = tensor_in(read_pickle(path), path, (1, 3))
    metadata = path.parent / METADATA
    if not layer:
        if tensor.ndim != 1 or not metadata.is_file():
            raise InputError(f"{str(path)!r} does not say its layer. Write {path.name}#layer=10, counted from 0.")
        layer = str(read_json(metadata, {"layer": int})["layer"])
    number = index(layer, "layer", tensor.shape[1] if tensor.ndim == 3 else 10_000)
    if tensor.ndim == 3:
        if not position:
            raise InputError(
                f"{str(path)!r} has {len(tensor)} positions. Say which: {path.name}#layer={layer}#position=0."
            )
        tensor = tensor[index(position, "position", len(tensor)), number]
    return SteeringVector(Site(number, "resid_pre"), tensor.clone(), origin=Origin(positions="every"))


def write(intervention: Intervention, path: Path) -> list[Path]:
    """`direction.pt` in a folder, with what says its layer."""
    ((site, shift),) = intervention.shifts.items()
    if path.name != "direction.pt":
        raise InputError(f"--out is {str(path)!r}. Name a file called direction.pt, beside which its layer is written.")
    if (metadata := path.parent / METADATA).exists() and METADATA not in exported(path, NAME):
        raise InputError(
            f"{str(metadata)!r} is there already, and no export wrote it. Name a direction.pt in another folder."
        )
    (direction,) = shift.tensors.values()
    written = write_pickle(direction.detach().cpu().clone(), path)
    return [written, write_json({"pos": -1, "layer": site.layer}, metadata)]
