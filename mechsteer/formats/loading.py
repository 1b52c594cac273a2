"""Steers from files of any known format, for the model that they were made for, and into them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..families import FORMATS
from ..store.sums import check_listed

if TYPE_CHECKING:
    from ..interventions.base import Intervention
    from ..models.model import Model


def load_intervention(path: str | Path, model: "Model | None" = None) -> "Intervention":
    """Read an intervention; given a model, refuse one that was made for another and say which field differs."""
    path = Path(path)
    # Not path.exists(), which raises where a name is too long to be one.
    if not os.path.exists(path):
        raise InputError(f"There is no intervention at {str(path)!r}. Pass a .safetensors file that mechsteer wrote.")
    check_listed(path)
    # Our own format says what is wrong with a file that none recognises.
    formats = [FORMATS.load(name) for name in FORMATS.members()]
    intervention = next((form for form in formats if form.recognises(path)), FORMATS.load("mechsteer")).read(path)
    try:
        intervention.check_finite()
    except InputError as error:
        raise InputError(f"{str(path)!r} holds no steer that can be used: {error}") from error
    if model is not None:
        check_model(intervention, model)
    return intervention


def save_intervention(intervention: "Intervention", path: str | Path, format: str = "mechsteer") -> Path:
    """Write an intervention in a format, by default our own; every number must be one."""
    intervention.check_finite()
    return FORMATS.load(format).write(intervention, Path(path))


def check_model(intervention: "Intervention", model: "Model") -> None:
    """Raise one sentence that names each field in which `model` differs from the one the intervention was made for."""
    intervention.check_fits(model)
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
