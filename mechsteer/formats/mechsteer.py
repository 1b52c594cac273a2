"""Our own files of steers: safetensors whose metadata say everything needed to use one again."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import InputError
from ..families import FORMS, RULES
from ..interventions.base import Intervention, Origin
from ..interventions.joint import join
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
    try:
        return _of(metadata, tensors)
    except InputError as error:
        raise InputError(f"{str(path)!r} is no mechsteer intervention that can be read here: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{str(path)!r} is a damaged mechsteer intervention ({error!r}). Make it again.") from error


def _of(metadata: dict[str, str], tensors: dict[str, Tensor]) -> Intervention:
    if "form" in metadata:
        # Of the first version: one site, and m·Δh is added.
        shifts, rule = [{"site": metadata["site"], "form": metadata["form"]}], {"name": "add", "settings": {}}
        tensors = {f"{metadata['site']}.{name}": tensor for name, tensor in tensors.items()}
    elif "shifts" in metadata:
        shifts, rule = json.loads(metadata["shifts"]), json.loads(metadata["rule"])
    else:
        raise InputError(
            "its metadata name no form and no shifts. Build it from its tensors instead: "
            "SteeringVector(Site(layer, place), direction)."
        )
    parts = []
    for shift in shifts:
        start = f"{shift['site']}."
        own = {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
        parts.append(FORMS.load(shift["form"])(Site.parse(shift["site"]), **own))
    whole = join(parts, rule=RULES.load(rule["name"])(**rule["settings"]))
    return replace(whole, origin=Origin(**json.loads(metadata["origin"])))


def write(intervention: Intervention, path: str | Path) -> Path:
    """The file, whole or not at all; equal interventions give equal bytes."""
    rule = intervention.rule
    shifts = [
        {"site": str(site), "hook": site.hook, "form": shift.form, "d_in": shift.widths[0], "d_out": shift.widths[1]}
        for site, shift in intervention.shifts.items()
    ]
    metadata = {
        "format": "mechsteer intervention 2",
        "mechsteer": MECHSTEER,
        "operation": "output + what the rule makes of multiplier and dW h + db, at each site",
        "shifts": json.dumps(shifts),
        "rule": json.dumps({"name": rule.name, "settings": dict(rule.settings)}),
        "layer_convention": "0-based transformer block",
        "origin": json.dumps(asdict(intervention.origin)),
    }
    tensors = {
        f"{site}.{name}": value.detach().cpu().contiguous()
        for site, shift in intervention.shifts.items()
        for name, value in shift.tensors.items()
    }
    return write_tensors(save(tensors, metadata), path)
