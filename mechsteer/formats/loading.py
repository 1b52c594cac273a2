"""Steers from files of any known format, for the model that they were made for."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..families import FORMATS
from ..models.sites import POSITIONS
from ..progress import say
from ..store.sums import check_listed
from .named import SteerFile, number

if TYPE_CHECKING:
    from ..interventions.base import Intervention, Origin
    from ..models.identity import ModelReference
    from ..models.model import Model


def load_intervention(source: str | Path, model: "Model | None" = None, **said: Any) -> "Intervention":
    """Read an intervention; given a model, refuse one that was made for another and say which field differs.

    Args:
        said: what a format does not say and so asks (`site="15:resid_post"`), or what may be said of any file: `format`, `scale`,
            `norm`, `positions`. It may stand after the file's name too: "vector.pt#site=15:resid_post#scale=2".
    """
    file = SteerFile.of(source, said)
    # Not path.exists(), which raises where a name is too long to be one.
    if not os.path.exists(file.path):
        raise InputError(
            f"There is no intervention at {str(file.path)!r}. Pass a file that mechsteer wrote, or one of another format."
        )
    check_listed(file.path)
    beside = file.beside()
    format = file.format(beside)
    intervention = FORMATS.load(format).read(file.path, **file.answers(format, beside))
    if beside is None and "scale" in FORMATS[format].get("LEAVES", {}) and not {"scale", "norm"} & file.said.keys():
        _tell_unscaled(file.path)
    if beside is not None:
        intervention = replace(intervention, origin=_origin(beside.origin, file.path))
    intervention = _as_said(intervention, file.said)
    if intervention.origin.method == "given":
        intervention = replace(intervention, origin=replace(intervention.origin, method=file.name))
    try:
        intervention.check_finite()
    except InputError as error:
        raise InputError(f"{str(file.path)!r} holds no steer that can be used: {error}") from error
    if model is not None:
        check_model(intervention, model)
    return intervention


@cache
def _tell_unscaled(path: Path) -> None:
    """Once, however often a verb reads the file."""
    say(f"{path.name} says no factor, so 1 is assumed. Say another behind its name: {path.name}#scale=4.")


def _origin(said: Mapping[str, Any], path: Path) -> Any:
    from ..interventions.base import Origin  # which needs torch

    try:
        return Origin(**said)
    except (InputError, TypeError) as error:
        raise InputError(f"What lies beside {str(path)!r} says no origin ({error}). Export it again.") from error


def _as_said(intervention: "Intervention", said: Mapping[str, str]) -> "Intervention":
    """Scaled, lengthened and placed as its user says."""
    if "norm" in said:
        norm = number(said, "norm")
        intervention = replace(
            intervention.each(lambda shift: shift.times(norm / max(shift.norm, 1e-30))),
            origin=replace(intervention.origin, unit=""),
        )
    if "scale" in said:
        intervention = intervention.scaled(number(said, "scale"))
    if "positions" in said:
        if said["positions"] not in POSITIONS:
            raise InputError(f"The positions {said['positions']!r} are unknown. Choose {', '.join(POSITIONS)}.")
        intervention = replace(intervention, origin=replace(intervention.origin, positions=said["positions"]))
    return intervention


def check_model(intervention: "Intervention", model: "Model", *, any_model: bool = False) -> None:
    """Raise one sentence that names each field in which `model` differs from the one the intervention was made for.

    Args:
        any_model: say it instead, for one who means to use it on another model.
    """
    intervention.check_fits(model)
    origin = intervention.origin
    # Names may differ for one model (a hub name, a folder); the weights decide.
    if not origin.fingerprint or origin.fingerprint == model.fingerprint:
        tell_precision(intervention, model.identity)
        return
    differing = [
        f"{field} ({made_for!r} against {given!r})"
        for field, made_for, given in (
            ("model", origin.model, model.name),
            ("revision", origin.revision, model.revision or ""),
            ("fingerprint of the weights", origin.fingerprint, model.fingerprint),
            ("precision", *precisions(origin, model.identity)),
        )
        if made_for != given
    ]
    differs = f"was made for another model; it differs in {', '.join(differing)}"
    if any_model:
        say(f"The steer {differs}: effects may differ.")
        return
    raise InputError(
        f"The intervention {differs}. Load the model that it was made for (in float16 weights round differently: use float32 or "
        "bfloat16), or load the intervention without naming a model (--any-model on the command line) to use it all the same."
    )


def tell_precision(intervention: "Intervention", model: "ModelReference") -> None:
    """Say so if a steer is used at another precision, or quantised otherwise, than it was learned at."""
    learned, used = precisions(intervention.origin, model)
    if learned != used:
        say(f"The steer was learned at {learned} and is used at {used}: effects may differ a little.")


def precisions(origin: "Origin", model: "ModelReference") -> tuple[str, str]:
    """At which a steer was learned and is used, alike where it does not say; of GGUF files, how each is quantised."""
    learned, used = origin.dtype or model.precision, model.precision
    if origin.model not in ("", model.name):
        from ..models.gguf import quantisation  # which needs transformers

        if (theirs := quantisation(origin.model)) and (ours := quantisation(model.name)):
            return f"{learned}, from {theirs}", f"{used}, from {ours}"
    return learned, used
