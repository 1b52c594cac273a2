"""Our own files of steers: safetensors whose metadata say everything needed to use one again."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..errors import InputError
from ..families import FORMS
from ..interventions.base import Intervention, Origin
from ..models.sites import Site
from ..store.tensors import write_tensors
from ..store.versions import MECHSTEER

NAME = "mechsteer"
ORDER = 10
SUFFIXES = (".safetensors",)


def recognises(path: Path) -> bool:
    """Whether the file may be one of ours."""
    return path.suffix in SUFFIXES


def read(path: Path) -> Intervention:
    """The intervention, in float32 or as it was saved."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise InputError(f"{str(path)!r} is not a safetensors file ({error}).") from error
    if (form := metadata.get("form")) not in FORMS.members():
        raise InputError(
            f"{str(path)!r} is no mechsteer intervention: its metadata name the form {form!r}. "
            f"Build one from its tensors instead: SteeringVector(Site(layer, place), direction)."
        )
    try:
        origin = Origin(**json.loads(metadata["origin"]))
        return FORMS.load(form)(Site.parse(metadata["site"]), **tensors, origin=origin)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{str(path)!r} is a damaged mechsteer intervention ({error!r}). Make it again.") from error


def write(intervention: Intervention, path: str | Path) -> Path:
    """The file, whole or not at all; equal interventions give equal bytes."""
    d_in, d_out = intervention.widths
    metadata = {
        "format": "mechsteer intervention 1",
        "mechsteer": MECHSTEER,
        "form": intervention.form,
        "operation": "output + multiplier * (dW h + db)",
        "site": str(intervention.site),
        "hook": intervention.site.hook,
        "layer_convention": "0-based transformer block",
        "d_in": json.dumps(d_in),
        "d_out": json.dumps(d_out),
        "origin": json.dumps(asdict(intervention.origin)),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in intervention.parameters.items()}
    return write_tensors(save(tensors, metadata), path)
