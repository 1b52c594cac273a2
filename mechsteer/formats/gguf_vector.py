"""Control vectors of llama.cpp and repeng: a vector at the output of each of several blocks, added at every token."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..interventions.base import Intervention, Origin
from ..interventions.joint import join
from ..interventions.vector import SteeringVector
from ..models.sites import Site
from ..store.reading import damaged
from .gguf_files import GGUF, read_gguf, settings_of, write_gguf
from .layers import layers_of

NAME = "gguf-vector"
TITLE = "a control vector of llama.cpp and repeng"
ORDER = 40
SUFFIXES = (".gguf",)
ASKS = {}
MAY = {"layers": "which of its layers act, such as 10-25+27; by default all of them do, together"}
SAYS = {"forms": ("vector",), "places": ("resid_post",), "several": True}
ARCHITECTURE = "controlvector"
TENSOR = "direction."


def recognises(path: Path) -> bool:
    """Whether the file may be one; a LoRA of llama.cpp is asked before."""
    return path.suffix == GGUF


def read(path: Path, layers: str = "") -> Intervention:
    """A vector after each block that it names; `direction.3` is for the output of the block 3, counted from 0."""

    def check(said: Mapping[str, Any], names: Sequence[str]) -> None:
        if not names or not all(re.fullmatch(rf"{re.escape(TENSOR)}\d{{1,5}}", name) for name in names):
            other = f"its architecture is {said.get('general.architecture')!r}"
            raise InputError(
                f"{str(path)!r} is a GGUF file but no control vector: {other}, and its tensors are not direction.1, direction.2, "
                "... Pass a control vector, or a LoRA."
            )

    said, tensors = read_gguf(path, check)
    if any(tensor.ndim != 1 or not len(tensor) for tensor in tensors.values()):
        raise damaged(path, "its directions are no vectors")
    directions = {int(name.removeprefix(TENSOR)): tensor for name, tensor in tensors.items()}
    if len(directions) < len(tensors):
        raise damaged(path, "it holds two directions for one layer")
    chosen = layers_of(layers, list(directions), path)
    origin = Origin(positions="every", settings=settings_of(said))
    return join([SteeringVector(Site(layer, "resid_post"), directions[layer], origin=origin) for layer in chosen])


def write(intervention: Intervention, path: Path) -> list[Path]:
    """llama.cpp adds `direction.N` to the output of block N, and refuses N = 0."""
    if intervention.sites[0].layer == 0:
        raise InputError(
            "llama.cpp adds no control vector to the output of block 0, and refuses a file that has one. Learn at a later "
            "layer, or choose another format."
        )
    tensors = {
        f"{TENSOR}{site.layer}": tensor
        for site, shift in intervention.shifts.items()
        for tensor in shift.tensors.values()
    }
    said = {
        "controlvector.model_hint": intervention.origin.model or "unknown",
        "controlvector.layer_count": len(tensors),
    }
    return [write_gguf(path, ARCHITECTURE, said, tensors)]
