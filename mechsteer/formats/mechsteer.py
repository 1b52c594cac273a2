"""Our own files of steers: safetensors whose metadata say everything needed to use one again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..errors import InputError
from ..families import FORMS, RULES
from ..interventions.base import Intervention, Origin
from ..interventions.joint import join
from ..models.sites import POSITIONS, Site
from ..store.keys import canonical
from ..store.reading import damaged, json_of
from ..store.tensors import read_metadata, read_tensors, write_tensors
from ..store.versions import MECHSTEER

NAME = "mechsteer"
TITLE = "our own"
ORDER = 10
SUFFIXES = (".safetensors",)
ASKS = {}
SAYS = {"forms": None, "places": None, "rules": None, "positions": None}


def recognises(path: Path) -> bool:
    """Whether the file may be one of ours."""
    return path.suffix in SUFFIXES


def says_steer(metadata: Mapping[str, str]) -> bool:
    """Whether a file with these metadata is one of ours."""
    return bool({"form", "shifts"} & metadata.keys())


def read(path: Path) -> Intervention:
    """The intervention, in float32 or as it was saved; its content is what was written."""
    if not says_steer(read_metadata(path)):
        raise InputError(
            f"{str(path)!r} is no mechsteer intervention: its metadata name no form and no shifts. Build one from its tensors "
            "instead: SteeringVector(Site(layer, place), direction)."
        )
    metadata, content = read_tensors(path)
    try:
        return _of(metadata, load(content))
    except InputError as error:
        raise InputError(f"{str(path)!r} is no mechsteer intervention that can be read here: {error}") from error
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise damaged(path, repr(error)) from error


def _of(metadata: dict[str, str], tensors: dict[str, Tensor]) -> Intervention:
    if "form" in metadata:
        # Of the first version: one site, and m·Δh is added.
        shifts, rule = [{"site": metadata["site"], "form": metadata["form"]}], {"name": "add", "settings": {}}
        tensors = {f"{metadata['site']}.{name}": tensor for name, tensor in tensors.items()}
    else:
        shifts = json_of(metadata["shifts"], [{"site": str, "form": str}], "its list of shifts")
        rule = json_of(metadata["rule"], {"name": str, "settings": {str: object}}, "its rule")
    parts = []
    for shift in shifts:
        start = f"{shift['site']}."
        own = {name: tensors.pop(name) for name in list(tensors) if name.startswith(start)}
        site, form = Site.parse(shift["site"]), FORMS.load(shift["form"])
        parts.append(form(site, **{name.removeprefix(start): tensor for name, tensor in own.items()}))
    if tensors:
        raise InputError(f"it holds the tensor {next(iter(tensors))!r}, which belongs to none of its sites.")
    whole = join(parts, rule=RULES.load(rule["name"])(**rule["settings"]))
    origin = Origin(**json_of(metadata["origin"], {}, "its origin"))
    if origin.positions not in POSITIONS:
        raise InputError(f"its positions are {origin.positions!r}, not one of {', '.join(POSITIONS)}.")
    return replace(whole, origin=origin)


def write(intervention: Intervention, path: Path) -> list[Path]:
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
        "rule": canonical({"name": rule.name, "settings": dict(rule.settings)}),
        "layer_convention": "0-based transformer block",
        "origin": canonical(asdict(intervention.origin)),
    }
    tensors = {
        f"{site}.{name}": value.detach().cpu().contiguous().clone()  # for one tensor may stand at several sites
        for site, shift in intervention.shifts.items()
        for name, value in shift.tensors.items()
    }
    return [write_tensors(save(tensors, metadata), path)]
