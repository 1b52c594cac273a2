"""Reading interventions back, for the model that they were made for."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..errors import InputError
from ..interventions import FORMS, Intervention, Origin
from ..models.model import Model
from ..models.sites import Site


def load_intervention(path: str | Path, model: Model | None = None) -> Intervention:
    """Read an intervention; given a model, refuse one that was made for another and say which field differs."""
    if not Path(path).is_file():
        raise InputError(f"There is no intervention at {str(path)!r}. Pass a .safetensors file that mechsteer wrote.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise InputError(f"{str(path)!r} is not a safetensors file ({error}).") from error
    if metadata.get("form") not in FORMS:
        raise InputError(
            f"{str(path)!r} is no mechsteer intervention: its metadata name the form {metadata.get('form')!r}. "
            f"Build one from its tensors instead: SteeringVector(Site(layer, place), direction)."
        )
    try:
        origin = Origin(**json.loads(metadata["origin"]))
        intervention = FORMS[metadata["form"]](Site.parse(metadata["site"]), **tensors, origin=origin)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{str(path)!r} is a damaged mechsteer intervention ({error!r}). Make it again.") from error
    if model is not None:
        check_model(intervention, model)
    return intervention


def check_model(intervention: Intervention, model: Model) -> None:
    """Raise one sentence that names each field in which `model` differs from the one the intervention was made for."""
    intervention.check_widths(model)
    origin = intervention.origin
    # Names may differ for one model (a hub name, a folder); the weights decide.
    if origin.fingerprint and origin.fingerprint != model.fingerprint:
        differing = [
            f"{field} ({made_for!r} against {given!r})"
            for field, made_for, given in (
                ("model", origin.model, model.name),
                ("revision", origin.revision, model.revision or ""),
                ("fingerprint of the weights", origin.fingerprint, model.fingerprint),
            )
            if made_for != given
        ]
        raise InputError(
            f"The intervention was made for another model; it differs in {', '.join(differing)}. "
            "Load the model that it was made for (in float16 weights round differently: use float32 or bfloat16), or load "
            "the intervention without naming a model (--any-model on the command line) to use it all the same."
        )
