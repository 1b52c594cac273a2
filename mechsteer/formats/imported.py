"""Steers that came in files, as a study takes them: by their content."""

from dataclasses import replace

from ..errors import InputError
from ..interventions.base import Intervention
from ..models.identity import ModelReference
from .loading import load_intervention, precisions, tell_precision


def for_study(file: str, name: str, model: ModelReference, prompt_format: str) -> Intervention:
    """A steer under the name by which it is studied; one that was made for another model is refused."""
    steer = load_intervention(file)
    origin = steer.origin
    if origin.fingerprint not in ("", model.weights):
        learned, used = precisions(origin, model)
        precision = f" (it was learned at {learned}, and the study is at {used})" if learned != used else ""
        raise InputError(
            f"The steer {file!r} was made for {origin.model!r}, whose weights are not those of {model.name!r}{precision}."
        )
    tell_precision(steer, model)
    return replace(steer, origin=replace(origin, method=name, seed=None, prompt_format=prompt_format))
